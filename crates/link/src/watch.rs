//! Tells that something about links, addresses or routes changed.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use netlink_packet_core::{NetlinkBuffer, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::LinkAttribute;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::view::RouteView;
use crate::{Error, Handle, Result, in_netns, is_host_link_name};

/// A message that did not fit would be cut off, and then tells of a change.
const BUFFER: usize = 32 * 1024;

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
    /// number of changes in one: read again what you care for. Pods' links and what belongs to
    /// them are left out: they come and go all the time, and nothing of the node follows from
    /// them. Ends when the receiver is dropped.
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

/// Numbers of the pods' links, as far as their messages have come by.
#[derive(Default)]
struct PodLinks(HashSet<u32>);

impl PodLinks {
    /// Whether all that is told is about a pod's link. What cannot be read is not.
    fn own(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            let mut header = NetlinkHeader::default();
            header.message_type = message.message_type();
            match Message::deserialize(&header, message.payload()) {
                Ok(message) if self.owns(&message) => {}
                _ => return false,
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
        true
    }

    fn owns(&mut self, message: &Message) -> bool {
        match message {
            Message::NewLink(link) | Message::DelLink(link) => {
                let name = link.attributes.iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                });
                let own = name.is_some_and(|name| is_host_link_name(name));
                if own && matches!(message, Message::NewLink(_)) {
                    self.0.insert(link.header.index);
                } else {
                    self.0.remove(&link.header.index);
                }
                own
            }
            Message::NewAddress(address) | Message::DelAddress(address) => {
                self.0.contains(&address.header.index)
            }
            Message::NewRoute(route) | Message::DelRoute(route) => {
                let devices = RouteView::new(route).devices;
                !devices.is_empty() && devices.iter().all(|device| self.0.contains(device))
            }
            _ => false,
        }
    }
}

async fn forward(socket: &AsyncFd<Multicast>, sender: &mpsc::Sender<()>) {
    let mut buffer = vec![0; BUFFER];
    let mut pods = PodLinks::default();
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        match recv(&socket.get_ref().0, &mut buffer[..], RecvFlags::empty()) {
            Ok((size, _)) if pods.own(&buffer[..size]) => {}
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
