//! Tells that something about links, addresses or routes changed.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::{Error, Handle, Result, in_netns};

/// RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

struct Multicast(netlink_sys::Socket);

impl AsRawFd for Multicast {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Handle {
    /// A message after every change of links, addresses or routes (our own changes too), any
    /// number of changes in one: read again what you care for. Ends when the receiver is dropped.
    ///
    /// # Errors
    /// When the socket cannot be opened. Must be called within a tokio runtime.
    pub fn watch(&self) -> Result<mpsc::Receiver<()>> {
        let socket = in_netns(self.netns().as_fd(), open)??;
        let socket = register(socket)?;
        // One place: a message that nobody took yet stands for all that came since.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = forward(&socket, &sender) => {}
            }
        });
        Ok(receiver)
    }
}

fn open() -> Result<Multicast> {
    let open = || {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        let mask = GROUPS.iter().fold(0, |mask, group| mask | 1 << (group - 1));
        socket.bind(&SocketAddr::new(0, mask))?;
        Ok(socket)
    };
    open().map(Multicast).map_err(Error::io("listen for changes of links and routes"))
}

#[allow(unsafe_code, reason = "AsyncFd relies on a constant descriptor")]
fn register(socket: Multicast) -> Result<AsyncFd<Multicast>> {
    // SAFETY: the socket owns its one descriptor, always answers with it and closes it only when
    // dropped, which AsyncFd does after it has deregistered it.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }
        .map_err(|error| Error::io("watch a netlink socket")(error.into_parts().1))
}

async fn forward(socket: &AsyncFd<Multicast>, sender: &mpsc::Sender<()>) {
    // What changed does not matter here: one byte of each message is enough to take it away.
    let mut byte = [0; 1];
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        match recv(&socket.get_ref().0, &mut byte, RecvFlags::empty()) {
            // ENOBUFS: changes were lost, which is a change.
            Ok(_) | Err(Errno::NOBUFS) => {
                // Full: the receiver will read again anyway.
                let _ = sender.try_send(());
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "changes of links and routes are no longer watched");
                return;
            }
        }
    }
}
