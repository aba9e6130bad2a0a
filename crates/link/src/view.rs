//! What this crate reads of the kernel's routes, addresses and neighbours.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{
    AddressAttribute, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteProtocol, RouteType, RouteVia,
};

use crate::message::{Mac, family};
use crate::wire::Socket;
use crate::{PROTOCOL, Result};

/// What this crate reads of a route.
#[derive(Debug)]
pub(crate) struct RouteView {
    pub destination: IpNet,
    pub protocol: u8,
    pub main_table: bool,
    pub kind: RouteType,
    pub devices: Vec<u32>,
    /// Of the only next hop.
    pub via: Option<IpAddr>,
    pub source: Option<IpAddr>,
    pub mtu: Option<u32>,
    pub onlink: bool,
    pub priority: u32,
}

impl RouteView {
    pub fn new(message: &RouteMessage) -> Self {
        let header = &message.header;
        let unspecified = match header.address_family {
            netlink_packet_route::AddressFamily::Inet => IpAddr::from([0; 4]),
            _ => IpAddr::from([0; 16]),
        };
        let mut destination = unspecified;
        let mut view = Self {
            destination: IpNet::from(unspecified),
            protocol: header.protocol.into(),
            main_table: header.table == RouteHeader::RT_TABLE_MAIN,
            kind: header.kind,
            devices: Vec::new(),
            via: None,
            source: None,
            mtu: None,
            onlink: header.flags.contains(RouteFlags::Onlink),
            priority: 0,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => {
                    destination = ip(address).unwrap_or(unspecified);
                }
                RouteAttribute::Oif(device) => view.devices = vec![*device],
                RouteAttribute::Gateway(address) => view.via = ip(address),
                RouteAttribute::Via(RouteVia::Inet6(address)) => view.via = Some((*address).into()),
                RouteAttribute::PrefSource(address) => view.source = ip(address),
                RouteAttribute::Priority(priority) => view.priority = *priority,
                RouteAttribute::MultiPath(hops) => {
                    view.devices = hops.iter().map(|hop| hop.interface_index).collect();
                }
                RouteAttribute::Metrics(metrics) => view.mtu = metrics.iter().find_map(mtu),
                _ => {}
            }
        }
        let length = header.destination_prefix_length;
        view.destination = IpNet::new(destination, length).unwrap_or_else(|_| destination.into());
        view
    }

    /// Not blackhole, unreachable and the like.
    pub fn forwards(&self) -> bool {
        matches!(self.kind, RouteType::Unicast | RouteType::Local)
    }

    pub fn ours(&self) -> bool {
        self.protocol == PROTOCOL
    }

    /// For people, in the words of `ip route`.
    pub fn describe(&self, names: impl Fn(u32) -> String) -> String {
        let mut text = format!("route {}", self.destination);
        if let Some(via) = self.via {
            text += &format!(" via {via}");
        }
        for device in &self.devices {
            text += &format!(" dev {}", names(*device));
        }
        text + &format!(" proto {}", RouteProtocol::from(self.protocol))
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// The main table's routes of both families.
pub(crate) fn routes(socket: &mut Socket) -> Result<Vec<RouteView>> {
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    let mut views = Vec::new();
    for of in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        message.header.address_family = family(of);
        let answer = match socket.dump("list routes", Message::GetRoute(message.clone())) {
            // No such family (IPv6 off at boot), or no route was ever in that table.
            Err(error)
                if matches!(
                    error.errno(),
                    Some(
                        rustix::io::Errno::NOENT
                            | rustix::io::Errno::OPNOTSUPP
                            | rustix::io::Errno::AFNOSUPPORT
                    )
                ) =>
            {
                continue;
            }
            other => other?,
        };
        views.extend(answer.iter().filter_map(|message| match message {
            Message::NewRoute(route) if !route.header.flags.contains(RouteFlags::Cloned) => {
                Some(RouteView::new(route))
            }
            _ => None,
        }));
    }
    views.retain(|route| route.main_table);
    Ok(views)
}

/// What this crate reads of an address.
#[derive(Debug)]
pub(crate) struct AddressView {
    pub ifindex: u32,
    pub net: IpNet,
    pub global: bool,
    /// Marked with our protocol number.
    pub ours: bool,
}

/// The addresses of one device, or of all.
pub(crate) fn addresses(socket: &mut Socket, device: Option<u32>) -> Result<Vec<AddressView>> {
    let mut message = AddressMessage::default();
    message.header.index = device.unwrap_or(0);
    let answer = socket.dump("list addresses", Message::GetAddress(message))?;
    Ok(answer
        .iter()
        .filter_map(|message| match message {
            Message::NewAddress(address) => address_view(address),
            _ => None,
        })
        .collect())
}

fn address_view(message: &AddressMessage) -> Option<AddressView> {
    let (mut address, mut local, mut ours) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            // On links with two ends IFA_ADDRESS is the other end's (IPv4).
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Protocol(AddressProtocol::Other(number)) => {
                ours = *number == PROTOCOL;
            }
            _ => {}
        }
    }
    Some(AddressView {
        ifindex: message.header.index,
        net: IpNet::new(local.or(address)?, message.header.prefix_len).ok()?,
        global: message.header.scope == AddressScope::Universe,
        ours,
    })
}

/// What this crate reads of a neighbour.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeighbourView {
    pub address: IpAddr,
    pub mac: Mac,
    pub permanent: bool,
}

/// A device's neighbours of both families.
pub(crate) fn neighbours(socket: &mut Socket, device: u32) -> Result<Vec<NeighbourView>> {
    let mut message = NeighbourMessage::default();
    message.attributes.push(NeighbourAttribute::IfIndex(device));
    let answer = socket.dump("list neighbours", Message::GetNeighbour(message))?;
    Ok(answer
        .iter()
        .filter_map(|message| match message {
            Message::NewNeighbour(neighbour) => neighbour_view(neighbour),
            _ => None,
        })
        .collect())
}

fn neighbour_view(message: &NeighbourMessage) -> Option<NeighbourView> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::from(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::from(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let permanent = message.header.state == NeighbourState::Permanent;
    Some(NeighbourView { address: address?, mac: mac?, permanent })
}
