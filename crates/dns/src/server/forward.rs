//! Asking the node's resolvers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::counters::count;
use super::{NOT_POISONED, Shared};
use crate::core::{Query, Reason, Reply, Verdict};

/// The client's answer, from the first resolver that has one.
pub(super) async fn ask(shared: &Shared, query: &Query) -> Vec<u8> {
    let reply = match any(shared, query).await {
        Ok(message) => query.finish(message),
        Err(reason) => {
            count(&shared.counters.forward_failures);
            query.fail(reason)
        }
    };
    bytes(shared, reply)
}

/// The client's answer when too many wait already.
pub(super) fn overflow(shared: &Shared, query: &Query) -> Vec<u8> {
    count(&shared.counters.forward_failures);
    count(&shared.counters.forward_overflows);
    bytes(shared, query.fail(Reason::Busy))
}

fn bytes(shared: &Shared, reply: Reply) -> Vec<u8> {
    shared.counters.answer(&reply);
    match reply {
        Reply::Send { bytes, .. } => bytes,
        Reply::Ignore | Reply::Forward(_) => Vec::new(),
    }
}

async fn any(shared: &Shared, query: &Query) -> Result<Vec<u8>, Reason> {
    let resolvers = Arc::clone(&shared.resolvers.read().expect(NOT_POISONED));
    let own = shared.own.read().expect(NOT_POISONED).clone();
    let servers: Vec<_> = resolvers.servers.iter().filter(|s| !own.contains(s)).collect();
    if servers.is_empty() {
        return Err(Reason::NoResolvers);
    }
    let mut reason = Reason::Unreachable;
    for _ in 0..resolvers.attempts {
        for server in &servers {
            match one(**server, query, resolvers.timeout).await {
                Ok(message) => return Ok(message),
                Err(Failure::Said) => reason = Reason::Failed,
                Err(Failure::Silent(error)) => {
                    tracing::debug!(%server, %error, "resolver does not answer");
                }
            }
        }
        // Asking again what was answered does not change the answer.
        if reason == Reason::Failed {
            break;
        }
    }
    Err(reason)
}

enum Failure {
    /// The resolver answered that it can't.
    Said,
    /// It did not answer.
    Silent(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Silent(error)
    }
}

impl From<tokio::time::error::Elapsed> for Failure {
    fn from(elapsed: tokio::time::error::Elapsed) -> Self {
        Failure::Silent(elapsed.into())
    }
}

async fn one(server: SocketAddr, query: &Query, wait: Duration) -> Result<Vec<u8>, Failure> {
    let (verdict, message) = timeout(wait, datagram(server, query)).await??;
    let (verdict, message) = match verdict {
        Verdict::Truncated => timeout(wait, stream(server, query)).await??,
        _ => (verdict, message),
    };
    match verdict {
        Verdict::Failed => Err(Failure::Said),
        _ => Ok(message),
    }
}

/// Every question has a socket of its own: the kernel chooses its port at random, and takes only
/// what comes from the resolver (RFC 5452, sections 9.2 and 9.3).
async fn datagram(server: SocketAddr, query: &Query) -> io::Result<(Verdict, Vec<u8>)> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    let id = random_id()?;
    socket.send(&query.packet(id)).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match query.judge(id, &buffer[..length]) {
            // The true answer may still come.
            Verdict::Foreign => continue,
            verdict => {
                buffer.truncate(length);
                return Ok((verdict, buffer));
            }
        }
    }
}

async fn stream(server: SocketAddr, query: &Query) -> io::Result<(Verdict, Vec<u8>)> {
    let mut stream = TcpStream::connect(server).await?;
    let id = random_id()?;
    let packet = query.packet(id);
    let mut framed = Vec::with_capacity(packet.len() + 2);
    framed.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    framed.extend_from_slice(&packet);
    stream.write_all(&framed).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    match query.judge(id, &message) {
        Verdict::Foreign => Err(io::Error::new(io::ErrorKind::InvalidData, "not its answer")),
        verdict => Ok((verdict, message)),
    }
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(id))
}
