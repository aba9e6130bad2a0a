//! Routes to other nodes: the main table's part that is ours is made equal to a wish.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol, RouteType, RouteVia,
};

use crate::device::links;
use crate::message::{link_route, replace_route, route, route_to};
use crate::view::{RouteView, routes};
use crate::wire::{Request, Socket};
use crate::{Error, Handle, PROTOCOL, Result, is_host_link_name};

/// What becomes of packets that take a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RouteKind {
    /// They are sent on.
    #[default]
    Unicast,
    /// They are refused: the sender is told by ICMP that there is no such host (IPv6: no route).
    Unreachable,
}

/// A wished route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Another node's pod CIDR or address.
    pub destination: IpNet,
    /// Of [`RouteKind::Unreachable`] routes only the destination counts.
    pub kind: RouteKind,
    /// ifindex of the device to leave by.
    pub device: u32,
    /// The router; none when the destination is on the device itself.
    pub via: Option<IpAddr>,
    /// The address to send from, for the node's own packets.
    pub source: Option<IpAddr>,
    /// Less than the device's, where it must be.
    pub mtu: Option<u32>,
    /// The router is on the device although no network of the device says so.
    pub onlink: bool,
}

impl Route {
    /// The route that refuses what no longer prefix takes: the node's own pod CIDR, whose pods have
    /// routes of their own, must not leave by the default route where there is no pod.
    #[must_use]
    pub fn unreachable(destination: IpNet) -> Self {
        Self {
            destination,
            kind: RouteKind::Unreachable,
            device: 0,
            via: None,
            source: None,
            mtu: None,
            onlink: false,
        }
    }
}

/// What a call changed, and what it could not.
#[derive(Debug, Default)]
pub struct Changes {
    /// Made, or changed.
    pub added: Vec<IpNet>,
    /// No longer wished.
    pub removed: Vec<IpNet>,
    /// Wished, but somebody else's: left alone.
    pub conflicts: Vec<Conflict>,
    /// Wished or unwished, but the kernel refused.
    pub failed: Vec<Error>,
}

/// A wish that something on the node stands in the way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What was wished.
    pub destination: IpNet,
    /// What has it, in the words of `ip route`.
    pub with: String,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} is not routed to its node, as the host has {}: remove that route or choose another pod CIDR",
            self.destination, self.with
        )
    }
}

impl Handle {
    /// Makes our routes of the main table (apart from those to pods' links) equal to `wanted`.
    /// A changed route is replaced at once: no packet finds none.
    ///
    /// # Errors
    /// Only when the routes cannot be read; the rest is in [`Changes`].
    pub async fn sync_routes(&self, wanted: &[Route]) -> Result<Changes> {
        let wanted = wanted.to_vec();
        self.run(move || sync(&mut Socket::open()?, &wanted)).await
    }
}

fn sync(socket: &mut Socket, wanted: &[Route]) -> Result<Changes> {
    let table = routes(socket)?;
    // Links after routes: a route's link is then known, or both are gone.
    let names: BTreeMap<u32, String> =
        links(socket)?.into_iter().map(|link| (link.ifindex, link.name)).collect();
    let plan = plan(&table, &names, wanted);
    let mut changes = Changes { conflicts: plan.conflicts, ..Changes::default() };
    let adds = plan.add.iter().map(|wish| replace_route(wish.destination, message(wish)));
    let answers = socket.run(adds.collect())?;
    for (wish, answer) in plan.add.iter().zip(answers) {
        match answer {
            Ok(_) => changes.added.push(wish.destination),
            Err(error) => changes.failed.push(error),
        }
    }
    let answers = socket.run(plan.remove.iter().map(|route| removal(route)).collect())?;
    for (route, answer) in plan.remove.iter().zip(answers) {
        match answer {
            Ok(_) => changes.removed.push(route.destination),
            // Went with its device meanwhile.
            Err(error) if error.errno() == Some(rustix::io::Errno::SRCH) => {}
            Err(error) => changes.failed.push(error),
        }
    }
    Ok(changes)
}

struct Plan<'a> {
    add: Vec<&'a Route>,
    remove: Vec<&'a RouteView>,
    conflicts: Vec<Conflict>,
}

fn plan<'a>(
    table: &'a [RouteView],
    names: &BTreeMap<u32, String>,
    wanted: &'a [Route],
) -> Plan<'a> {
    let name = |device: u32| names.get(&device).cloned().unwrap_or_else(|| device.to_string());
    let to_pod = |route: &RouteView| {
        route.devices.iter().any(|device| names.get(device).is_some_and(|n| is_host_link_name(n)))
    };
    let (ours, foreign): (Vec<&RouteView>, Vec<&RouteView>) =
        table.iter().partition(|route| route.ours() && !to_pod(route));
    let wishes: BTreeMap<IpNet, &Route> =
        wanted.iter().map(|wish| (wish.destination.trunc(), wish)).collect();
    let obstacles: BTreeMap<IpNet, &RouteView> = foreign
        .into_iter()
        .filter(|route| wishes.contains_key(&route.destination))
        .map(|route| (route.destination, route))
        .collect();
    let mut plan = Plan { add: Vec::new(), remove: Vec::new(), conflicts: Vec::new() };
    for (destination, wish) in &wishes {
        if let Some(obstacle) = obstacles.get(destination) {
            let with = obstacle.describe(name);
            plan.conflicts.push(Conflict { destination: *destination, with });
        } else if !ours.iter().any(|route| equal(route, wish)) {
            plan.add.push(wish);
        }
    }
    plan.remove = ours
        .into_iter()
        .filter(|route| {
            let wish = wishes.get(&route.destination);
            // One of another metric is not replaced by the wish's: it must go.
            let stays = wish.is_some_and(|wish| {
                equal(route, wish) || route.priority == default_priority(&route.destination)
            });
            !stays || obstacles.contains_key(&route.destination)
        })
        .collect();
    plan
}

/// What the kernel gives a route without a metric (IP6_RT_PRIO_USER).
fn default_priority(destination: &IpNet) -> u32 {
    if destination.addr().is_ipv4() { 0 } else { 1024 }
}

fn equal(route: &RouteView, wish: &Route) -> bool {
    let same = route.destination == wish.destination.trunc()
        && route.kind == kind(wish)
        && route.priority == default_priority(&route.destination);
    // IPv6 tells lo as the device of routes that refuse.
    same && (wish.kind == RouteKind::Unreachable || equal_way(route, wish))
}

fn equal_way(route: &RouteView, wish: &Route) -> bool {
    route.devices == [wish.device]
        && route.via == wish.via
        && route.source == wish.source
        && route.mtu == wish.mtu
        && route.onlink == wish.onlink
}

fn kind(wish: &Route) -> RouteType {
    match wish.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Unreachable => RouteType::Unreachable,
    }
}

fn message(wish: &Route) -> RouteMessage {
    let protocol = RouteProtocol::Other(PROTOCOL);
    if wish.kind == RouteKind::Unreachable {
        let mut message = route_to(wish.destination, protocol);
        message.header.kind = kind(wish);
        return message;
    }
    let mut message = match wish.via {
        None => link_route(wish.destination, wish.device, protocol),
        Some(_) => route(wish.destination, wish.device, protocol),
    };
    match wish.via {
        Some(IpAddr::V6(via)) if wish.destination.addr().is_ipv4() => {
            message.attributes.push(RouteAttribute::Via(RouteVia::Inet6(via)));
        }
        Some(via) => message.attributes.push(RouteAttribute::Gateway(via.into())),
        None => {}
    }
    if let Some(source) = wish.source {
        message.attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    if let Some(mtu) = wish.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    if wish.onlink {
        message.header.flags |= RouteFlags::Onlink;
    }
    message
}

fn removal(view: &RouteView) -> Request {
    let protocol = RouteProtocol::Other(PROTOCOL);
    let mut message = match view.devices.first() {
        Some(device) => route(view.destination, *device, protocol),
        None => route_to(view.destination, protocol),
    };
    message.header.kind = view.kind;
    // NOWHERE stands for "any" when a route is deleted (fib_table_delete).
    message.header.scope = netlink_packet_route::route::RouteScope::NoWhere;
    if view.priority != 0 {
        message.attributes.push(RouteAttribute::Priority(view.priority));
    }
    Request::new(format!("delete route {}", view.destination), 0, Message::DelRoute(message))
}
