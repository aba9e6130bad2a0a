//! The plugin's end of the socket.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{self, sockopt};

use crate::protocol::{Failure, MESSAGE_LIMIT, Request, Response, decode, encode};

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens: the request was not seen.
    Unreachable(String),
    /// The request may have been seen; no answer came.
    Broken(String),
    /// An answer came that can't be understood.
    Garbled(Failure),
}

/// Sends a request, with the pod's namespace if there is one, and waits for the answer.
pub fn call(
    socket: &Path,
    request: &Request,
    netns: Option<BorrowedFd<'_>>,
    within: Duration,
) -> Result<Response, CallError> {
    let deadline = Instant::now() + within;
    let mut stream = connect(socket, within)
        .map_err(|e| CallError::Unreachable(format!("connect to {}: {e}", socket.display())))?;
    let broken = |e: io::Error| CallError::Broken(format!("{}: {e}", socket.display()));
    send(&mut stream, &encode(request), netns).map_err(broken)?;
    let line = receive(&mut stream, deadline).map_err(broken)?;
    decode(&line).map_err(CallError::Garbled)
}

/// Connecting waits where the agent's backlog is full; the sending time limit is the one that
/// holds for it (unix(7)), so it has to be there before.
fn connect(socket: &Path, within: Duration) -> io::Result<UnixStream> {
    let address = net::SocketAddrUnix::new(socket)?;
    let (unix, stream) = (net::AddressFamily::UNIX, net::SocketType::STREAM);
    let fd = net::socket_with(unix, stream, net::SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&fd, sockopt::Timeout::Send, Some(within))?;
    net::connect(&fd, &address)?;
    Ok(UnixStream::from(fd))
}

/// The descriptor travels with the first bytes.
fn send(stream: &mut UnixStream, line: &[u8], netns: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut sent = 0;
    if let Some(netns) = netns {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = net::SendAncillaryBuffer::new(&mut space);
        let fds = [netns];
        let fits = control.push(net::SendAncillaryMessage::ScmRights(&fds));
        debug_assert!(fits, "the space is made for one descriptor");
        let bytes = [IoSlice::new(line)];
        sent = net::sendmsg(&*stream, &bytes, &mut control, net::SendFlags::NOSIGNAL)?;
    }
    stream.write_all(&line[sent..])
}

fn receive(stream: &mut UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    while !line.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up")),
            Ok(n) => line.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // What a read returns when its time is over (SO_RCVTIMEO).
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        if line.len() > MESSAGE_LIMIT {
            return Err(io::Error::other(format!("an answer of over {MESSAGE_LIMIT} bytes")));
        }
    }
    Ok(line)
}
