//! The netlink messages that this crate sends.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::wire::{Request, Socket};
use crate::{Error, Result};

/// Six bytes of an Ethernet address.
pub(crate) type Mac = [u8; 6];

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// The address alone: /32 or /128.
pub(crate) fn host_net(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// A link by its name; none when it does not exist.
pub(crate) fn get_link(socket: &mut Socket, name: &str) -> Result<Option<LinkMessage>> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.into()));
    let what = format!("find link {name}");
    match socket.run_one(Request::new(what.as_str(), 0, Message::GetLink(link))) {
        Ok(Some(Message::NewLink(link))) => Ok(Some(link)),
        Ok(_) => Err(Error::Answer { what, why: "no link in it".into() }),
        Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a link by its name; one that is gone is done. Says whether it was there.
pub(crate) fn delete_link(socket: &mut Socket, name: &str) -> Result<bool> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.into()));
    let request = Request::new(format!("delete link {name}"), 0, Message::DelLink(link));
    match socket.run_one(request) {
        Ok(_) => Ok(true),
        Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A change of an existing link, by its name.
pub(crate) fn set_link(what: &str, name: &str, mut link: LinkMessage) -> Request {
    link.attributes.insert(0, LinkAttribute::IfName(name.into()));
    Request::new(format!("{what} link {name}"), 0, Message::SetLink(link))
}

pub(crate) fn link_up(name: &str) -> Request {
    let mut link = LinkMessage::default();
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    set_link("bring up", name, link)
}

/// No link-local address: nothing needs one here, and it would be announced and probed for.
pub(crate) fn no_link_local(name: &str) -> Request {
    let mut link = LinkMessage::default();
    let mode = vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)];
    link.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(mode)]));
    set_link("turn off link-local addresses of", name, link)
}

/// An address of a device alone, without a route to its network.
pub(crate) fn address(device: u32, address: IpAddr, scope: AddressScope) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = host_net(address).prefix_len();
    message.header.scope = scope;
    message.header.index = device;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    if address.is_ipv6() {
        // Nobody else can have it: duplicate detection would only delay its use.
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    message
}

pub(crate) fn permanent_neighbour(device: u32, address: IpAddr, mac: Mac) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = device;
    message.header.state = NeighbourState::Permanent;
    let destination = match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    let what = format!("add neighbour {address} to device {device}");
    Request::new(what, flags, Message::NewNeighbour(message))
}

/// A unicast route of the main table.
pub(crate) fn route(destination: IpNet, device: u32, protocol: RouteProtocol) -> RouteMessage {
    let mut message = route_to(destination, protocol);
    message.attributes.push(RouteAttribute::Oif(device));
    message
}

/// The part of it that says what it is for.
pub(crate) fn route_to(destination: IpNet, protocol: RouteProtocol) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination.addr());
    message.header.destination_prefix_length = destination.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = protocol;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    if destination.prefix_len() > 0 {
        let network = destination.network();
        message.attributes.push(RouteAttribute::Destination(network.into()));
    }
    message
}

/// A route to what is on the link itself.
pub(crate) fn link_route(destination: IpNet, device: u32, protocol: RouteProtocol) -> RouteMessage {
    let mut message = route(destination, device, protocol);
    // IPv6 has no scopes of routes.
    if destination.addr().is_ipv4() {
        message.header.scope = RouteScope::Link;
    }
    message
}

pub(crate) fn replace_route(destination: IpNet, message: RouteMessage) -> Request {
    let what = format!("add route {destination}");
    Request::new(what, NLM_F_CREATE | NLM_F_REPLACE, Message::NewRoute(message))
}
