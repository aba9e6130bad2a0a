//! The way from async callers to blocking work in a namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use crate::{Error, Result, netns};

/// A network namespace whose links, routes and addresses are handled. Cheap to clone.
///
/// A call that was begun is finished even when its future is dropped: nothing half-made stays.
#[derive(Debug, Clone)]
pub struct Handle {
    netns: Arc<OwnedFd>,
}

impl Handle {
    /// For the network namespace of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn new() -> Result<Self> {
        Ok(Self { netns: Arc::new(netns::current()?) })
    }

    /// For another namespace.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn of(netns: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { netns: Arc::new(duplicate(netns)?) })
    }

    pub(crate) fn netns(&self) -> Arc<OwnedFd> {
        self.netns.clone()
    }

    /// Runs blocking work inside the namespace, on a thread that ends with it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let netns = self.netns();
        thread::Builder::new()
            .name("fairlead-link".into())
            .spawn(move || {
                let result = netns::enter(netns.as_fd()).and_then(|()| work());
                // Nobody waits any more: the work is done all the same.
                let _ = sender.send(result);
            })
            .map_err(Error::io("start a thread"))?;
        receiver.await.unwrap_or(Err(Error::Panicked))
    }
}

pub(crate) fn duplicate(netns: BorrowedFd<'_>) -> Result<OwnedFd> {
    netns.try_clone_to_owned().map_err(Error::io("duplicate a namespace's descriptor"))
}
