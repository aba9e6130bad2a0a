//! DELs that came while the agent was down: a file each, named by when it came.
//!
//! The agent binds its socket first, then drains the spool, then serves: what comes in between
//! waits on the socket, and a plugin that just wrote a file tries the socket once more. So no DEL
//! is missed, and none waits for the next start.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::protocol::{MESSAGE_LIMIT, Request, Response, decode, encode};
use crate::server::Agent;
use crate::{Error, files};

/// Writes a request to the spool. Returns its file.
pub fn put(dir: &Path, request: &Request) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The process id keeps two plugins apart that come in the same nanosecond.
    let name = format!("{:020}-{}.json", since.as_nanos(), std::process::id());
    let path = dir.join(name);
    files::write_atomic(&path, &encode(request), 0o600)?;
    Ok(path)
}

/// What became of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Handled, and gone from the spool.
    pub done: usize,
    /// The agent's handler failed; they stay for the next drain.
    pub failed: usize,
    /// Files that are no requests; renamed to `….aside`.
    pub aside: usize,
}

/// Hands the spooled requests to the agent, oldest first; each file is removed once it is handled.
/// A crash in between hands a request over again: DEL is idempotent.
pub async fn drain(dir: &Path, agent: &impl Agent) -> Result<Drained, Error> {
    let mut drained = Drained::default();
    for name in files::names(dir)? {
        if !name.ends_with(".json") {
            continue;
        }
        let path = dir.join(name);
        let bytes = files::read_bounded(&path, MESSAGE_LIMIT as u64)?;
        let request = decode::<Request>(&bytes).and_then(|r| r.validate().map(|()| r));
        let request = match request {
            Ok(request) => request,
            Err(failure) => {
                let aside = files::set_aside(&path)?;
                warn!(file = %aside.display(), why = failure.msg, "set aside a spooled request");
                drained.aside += 1;
                continue;
            }
        };
        match agent.handle(request, None).await {
            Response::Error(failure) => {
                warn!(file = %path.display(), why = failure.msg, "a spooled request failed");
                drained.failed += 1;
            }
            Response::Done | Response::Added(_) => {
                files::remove(&path)?;
                drained.done += 1;
            }
        }
    }
    Ok(drained)
}

#[cfg(test)]
mod tests;
