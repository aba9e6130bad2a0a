//! The two sockets of an address.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinHandle;

use super::{Shared, tcp, udp};
use crate::Error;

const BACKLOG: i32 = 1024;
/// Bursts of questions wait here while a change of the zone is taken in.
const RECEIVE_BUFFER: usize = 1 << 20;

/// An address that is served; dropping it ends that.
pub(super) struct Listener {
    pub(super) local: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Listener {
    pub(super) fn open(address: SocketAddr, shared: &Arc<Shared>) -> Result<Self, Error> {
        let fail = |protocol| move |source| Error::Listen { address, protocol, source };
        let udp = datagrams(address).map_err(fail("UDP"))?;
        // Port 0 is for tests: the kernel's choice for one is asked for again.
        let local = udp.local_addr().map_err(fail("UDP"))?;
        let tcp = streams(local).map_err(fail("TCP"))?;
        let udp = tokio::net::UdpSocket::from_std(udp).map_err(fail("UDP"))?;
        let tcp = tokio::net::TcpListener::from_std(tcp).map_err(fail("TCP"))?;
        let tasks = [
            tokio::spawn(udp::serve(Arc::new(udp), shared.clone())),
            tokio::spawn(tcp::serve(tcp, shared.clone())),
        ];
        Ok(Listener { local, tasks })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    // Best effort: the kernel caps it at net.core.rmem_max.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(socket.into())
}

fn streams(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that is bound though the node may not have the address yet, and though the program's
/// predecessor may still hold it.
fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
