//! Takes a pod's link away, and knows early that it is gone.

use std::fs;
use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::message::delete_link;
use crate::wire::Socket;
use crate::{Error, Handle, Result, netns};

const POLL: Duration = Duration::from_micros(500);

impl Handle {
    /// Removes a pod's link; its routes and neighbours go with it. Gone already is done.
    ///
    /// Answers as soon as the link is down and out of the namespace, both ends of it: its name,
    /// its addresses and its routes are free then. The kernel goes on for some ten milliseconds,
    /// as it waits for the last readers of what it frees (RCU): once for each hook that has
    /// programs (tcx_uninstall), and before the memory is given back (netdev_run_todo).
    ///
    /// # Errors
    /// When the link is there and cannot be removed.
    pub async fn detach_pod(&self, host_name: &str) -> Result<()> {
        crate::pod::check_name(host_name)?;
        let (netns, name) = (self.netns(), host_name.to_owned());
        self.run(move || {
            if !is_listed(&name)? {
                return Ok(());
            }
            let (sender, answer) = channel();
            let doomed = name.clone();
            thread::Builder::new()
                .name("fairlead-detach".into())
                .spawn(move || {
                    let result = netns::enter(netns.as_fd())
                        .and_then(|()| delete_link(&mut Socket::open()?, &doomed));
                    if let Err(error) = &result {
                        tracing::debug!(link = doomed, %error, "a link was not removed");
                    }
                    // Whoever saw before that the link is gone no longer waits.
                    let _ = sender.send(result.map(drop));
                })
                .map_err(Error::io("start a thread"))?;
            loop {
                match answer.recv_timeout(POLL) {
                    Ok(result) => return result,
                    Err(RecvTimeoutError::Disconnected) => return Err(Error::Panicked),
                    Err(RecvTimeoutError::Timeout) if !is_listed(&name)? => return Ok(()),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
        .await
    }
}

/// Whether the calling thread's namespace has a link of that name. Of all ways to ask, this one
/// neither waits for the lock under which links are removed nor looks for a module to load.
fn is_listed(name: &str) -> Result<bool> {
    let path = "/proc/thread-self/net/dev";
    let table = fs::read_to_string(path).map_err(Error::io(format!("read {path}")))?;
    Ok(table.lines().any(|line| line.split(':').next().is_some_and(|other| other.trim() == name)))
}
