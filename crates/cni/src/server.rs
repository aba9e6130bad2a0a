//! The agent's end of the socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::Error;
use crate::protocol::{Command, Failure, Request, Response, code, decode, encode};

mod receive;

/// How many requests are handled at once; more wait in the socket's backlog.
const CONCURRENCY: usize = 64;

/// How long a plugin may take to say what it wants, and to take the answer.
const PEER_DEADLINE: Duration = Duration::from_secs(5);

/// What does the work: the agent.
pub trait Agent: Send + Sync + 'static {
    /// Does what a request asks. The namespace is the pod's, opened by the plugin (ADD and CHECK).
    /// Once begun, it is not cancelled when the plugin goes away.
    fn handle(
        &self,
        request: Request,
        netns: Option<OwnedFd>,
    ) -> impl Future<Output = Response> + Send;
}

/// A bound socket. From here on plugins wait for an answer, rather than find the agent down.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
}

impl Server {
    /// Binds the socket, for root only. What a dead agent left is replaced in one step, so that
    /// plugins find one socket or the other; a live agent's is an error. To be called in a tokio
    /// runtime.
    pub fn bind(socket: &Path) -> Result<Server, Error> {
        if is_live(socket) {
            return Err(Error::Live { path: socket.to_path_buf() });
        }
        if let Some(dir) = socket.parent() {
            std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
        }
        let new = socket.with_extension("new");
        crate::files::remove(&new)?;
        let listener = UnixListener::bind(&new).map_err(Error::file("listen on", socket))?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&new, socket))
            .map_err(Error::file("listen on", socket))?;
        Ok(Server { listener })
    }

    /// Serves until the future is dropped. Requests that have begun are carried through.
    pub async fn serve(self, agent: Arc<impl Agent>) {
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        loop {
            let permit = permits.clone().acquire_owned().await.expect("it is never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let agent = agent.clone();
                    tokio::spawn(async move {
                        converse(stream, &*agent).await;
                        drop(permit);
                    });
                }
                Err(e) => {
                    // Out of descriptors or memory: asking again at once would only spin.
                    warn!(error = %e, "cannot accept a CNI request");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Whether somebody listens. One that is too busy to take connections does, too.
fn is_live(socket: &Path) -> bool {
    let (unix, stream) = (net::AddressFamily::UNIX, net::SocketType::STREAM);
    let flags = net::SocketFlags::CLOEXEC | net::SocketFlags::NONBLOCK;
    let connected = net::SocketAddrUnix::new(socket)
        .and_then(|address| net::connect(net::socket_with(unix, stream, flags, None)?, &address));
    matches!(connected, Ok(()) | Err(Errno::AGAIN))
}

async fn converse(mut stream: UnixStream, agent: &impl Agent) {
    let response = match timeout(PEER_DEADLINE, receive::message(&stream)).await {
        Ok(Ok((line, netns))) => answer(&line, netns, agent).await,
        Ok(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
            debug!("a peer hung up before it asked for anything");
            return;
        }
        Ok(Err(e)) => Failure::new(code::IO, format!("cannot read the request: {e}")).into(),
        Err(_) => Failure::new(code::IO, "the request did not come in time").into(),
    };
    if let Response::Error(failure) = &response {
        warn!(code = failure.code, details = failure.details, "CNI: {}", failure.msg);
    }
    match timeout(PEER_DEADLINE, stream.write_all(&encode(&response))).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => debug!(error = %e, "the plugin did not wait for its answer"),
        Err(_) => debug!("the plugin did not take its answer"),
    }
}

async fn answer(line: &[u8], netns: Option<OwnedFd>, agent: &impl Agent) -> Response {
    match decode::<Request>(line).and_then(|r| r.validate().map(|()| r)) {
        Ok(Request { command: Command::Add | Command::Check, .. }) if netns.is_none() => {
            let msg = "the request came without the pod's network namespace";
            Failure::new(code::INVALID_ENVIRONMENT, msg).into()
        }
        Ok(request) => agent.handle(request, netns).await,
        Err(failure) => failure.into(),
    }
}

#[cfg(test)]
mod tests;
