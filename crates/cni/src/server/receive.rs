//! One line, and the descriptor that comes with it.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::protocol::MESSAGE_LIMIT;

/// Reads up to the first newline. Of several descriptors the first is kept.
pub(super) async fn message(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut line = Vec::new();
    let mut descriptor = None;
    while !line.contains(&b'\n') {
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || chunk(stream, &mut line)) {
            Ok((0, _)) if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((0, _)) => return Err(io::Error::other("it ends in the middle of a line")),
            Ok((_, fd)) => descriptor = descriptor.or(fd),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        if line.len() > MESSAGE_LIMIT {
            return Err(io::Error::other(format!("it has more than {MESSAGE_LIMIT} bytes")));
        }
    }
    Ok((line, descriptor))
}

fn chunk(stream: &UnixStream, line: &mut Vec<u8>) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream, &mut slices, &mut control, flags)?;
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let descriptor = descriptors.next();
    drop(descriptors);
    line.extend_from_slice(&bytes[..received.bytes]);
    Ok((received.bytes, descriptor))
}
