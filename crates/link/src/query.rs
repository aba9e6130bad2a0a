//! Which way a packet would go.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};

use crate::message::family;
use crate::view::{RouteView, routes};
use crate::wire::{Request, Socket};
use crate::{Error, Handle, Result};

/// How the kernel reaches an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The device to leave by; lo for the node's own addresses.
    pub ifindex: u32,
    /// The router; none when the address is on the device's own network.
    pub gateway: Option<IpAddr>,
    /// The address that the kernel would send from.
    pub source: IpAddr,
    /// Path MTU or the route's own, where one is known; else the device's counts.
    pub mtu: Option<u32>,
}

impl Handle {
    /// Asks the kernel for the way to an address (`ip route get`).
    ///
    /// # Errors
    /// [`Error::NoRoute`] when there is none.
    pub async fn route_to(&self, address: IpAddr) -> Result<NextHop> {
        self.run(move || {
            let mut message = RouteMessage::default();
            message.header.address_family = family(address);
            message.header.destination_prefix_length = IpNet::from(address).prefix_len();
            message.attributes.push(RouteAttribute::Destination(address.into()));
            let request =
                Request::new(format!("find the route to {address}"), 0, Message::GetRoute(message));
            match Socket::open()?.run_one(request) {
                Ok(Some(Message::NewRoute(route))) => next_hop(address, &route),
                Ok(_) => Err(Error::NoRoute(address)),
                // Unreachable routes answer with these errors themselves.
                Err(Error::Kernel { source, .. })
                    if source.kind() != std::io::ErrorKind::PermissionDenied =>
                {
                    tracing::debug!(%address, %source, "no route");
                    Err(Error::NoRoute(address))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The devices of the main table's default routes, of both families.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn default_route_devices(&self) -> Result<Vec<u32>> {
        self.run(|| {
            let table = routes(&mut Socket::open()?)?;
            let defaults = table.into_iter().filter(|route| route.destination.prefix_len() == 0);
            let mut devices: Vec<u32> = defaults.flat_map(|route| route.devices).collect();
            devices.sort_unstable();
            devices.dedup();
            Ok(devices)
        })
        .await
    }
}

fn next_hop(address: IpAddr, route: &RouteMessage) -> Result<NextHop> {
    let view = RouteView::new(route);
    match (view.devices.first(), view.source) {
        (Some(ifindex), Some(source)) if view.forwards() => {
            Ok(NextHop { ifindex: *ifindex, gateway: view.via, source, mtu: view.mtu })
        }
        _ => Err(Error::NoRoute(address)),
    }
}
