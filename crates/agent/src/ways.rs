//! From nodes and devices to ways: who is reached how, by which device, with what MTU. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fairlead_datapath::contract::{Node as NodeRow, NodeKey, Uplink as UplinkRow, Way};
use fairlead_link::{Device, Route, RouteKind, is_host_link_name};
use fairlead_model::{Addr, Node};
use ipnet::IpNet;

use crate::config::{Masquerade, Routing};

/// The tunnel device's name.
pub const TUNNEL: &str = "fairlead_vxlan";

/// Bytes that VXLAN adds: outer IPv4 20 (IPv6 40), UDP 8, VXLAN 8, inner Ethernet 14 (RFC 7348).
const OVERHEAD_V4: u32 = 50;
const OVERHEAD_V6: u32 = 70;

/// IPv6 needs 1280 (RFC 8200, 5); a pod with less is of no use.
const SMALLEST_MTU: u32 = 1280;

/// What ways follow from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// This node.
    pub me: &'a Node,
    /// All nodes, this one may be among them.
    pub nodes: &'a BTreeMap<String, Node>,
    /// This node's devices.
    pub devices: &'a [Device],
    /// Devices with a default route.
    pub default_devices: &'a [u32],
    /// Devices that the configuration names; empty finds them.
    pub named_devices: &'a [String],
    /// The tunnel's ifindex, once there is one.
    pub tunnel: Option<u32>,
    pub routing: Routing,
    pub masquerade: Masquerade,
    /// The configured MTU; 0 computes it.
    pub mtu: u32,
}

/// A device of the node that carries traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    pub name: String,
    pub ifindex: u32,
    pub mtu: u32,
    /// Made by software (veth, bond, bridge…).
    pub is_virtual: bool,
    pub row: UplinkRow,
}

/// How another node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    pub address: Option<IpAddr>,
    /// `direct`, `vxlan` or `routed`; both where the families differ.
    pub way: String,
    /// The tunnel's far end, where it is reached by one.
    far: Option<IpAddr>,
    pub pod_cidrs: Vec<IpNet>,
    pub problem: Option<String>,
}

/// What is to be programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub uplinks: Vec<Uplink>,
    pub peers: Vec<Peer>,
    pub rows: BTreeMap<NodeKey, NodeRow>,
    pub routes: Vec<Route>,
    /// Of pods.
    pub mtu: u32,
    pub mtu_reason: String,
    /// Whether a node is reached by the tunnel.
    pub tunnelled: bool,
    /// The tunnel's MTU, where there is to be one.
    pub tunnel_mtu: Option<u32>,
    pub problems: Vec<String>,
}

impl Plan {
    /// The uplinks' rows by ifindex.
    pub fn uplink_rows(&self) -> BTreeMap<u32, UplinkRow> {
        self.uplinks.iter().map(|u| (u.ifindex, u.row)).collect()
    }
}

impl Peer {
    /// One of its CIDRs is reached so. The first one's address stands for the node.
    fn note(&mut self, way: &str, address: IpAddr) {
        if self.way.is_empty() {
            (self.way, self.address) = (way.to_owned(), Some(address));
        } else if !self.way.contains(way) {
            self.way = format!("{}+{way}", self.way);
        }
        if way == "vxlan" {
            self.far.get_or_insert(address);
        }
    }
}

/// A peer's address and the device whose network it is on.
struct Reach {
    address: IpAddr,
    on_link: Option<u32>,
}

/// Computes the ways.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan { uplinks: uplinks(input), ..Plan::default() };
    let mut outer_v6 = false;
    let peers = input.nodes.values().filter(|n| n.name != input.me.name);
    let mut taken: BTreeMap<IpNet, &str> =
        input.me.pod_cidrs.iter().map(|c| (*c, input.me.name.as_str())).collect();
    for node in peers {
        let mut peer = Peer {
            name: node.name.clone(),
            address: node.internal_ips.first().copied(),
            way: String::new(),
            far: None,
            pod_cidrs: node.pod_cidrs.clone(),
            problem: None,
        };
        for cidr in &node.pod_cidrs {
            if let Some(other) = taken.insert(*cidr, &node.name) {
                peer.problem = Some(format!("its pod CIDR {cidr} is that of node {other} too"));
                continue;
            }
            match way(input, node, *cidr) {
                Ok((name, reach)) => {
                    peer.note(name, reach.address);
                    outer_v6 |= name == "vxlan" && reach.address.is_ipv6();
                    add(input, &mut plan, *cidr, name, &reach);
                }
                Err(problem) => peer.problem = Some(problem),
            }
        }
        add_addresses(input, &mut plan, node, &peer);
        if node.pod_cidrs.is_empty() {
            peer.problem = Some("it has no pod CIDR yet".into());
        }
        plan.peers.push(peer);
    }
    mtu(input, &mut plan, outer_v6);
    plan
}

/// The way to a pod CIDR of a node: `direct`, `vxlan` or `routed`.
fn way(input: &Input<'_>, node: &Node, cidr: IpNet) -> Result<(&'static str, Reach), String> {
    let of = |v4: bool| node.internal_ips.iter().copied().filter(move |ip| ip.is_ipv4() == v4);
    let reach = |address| Reach { address, on_link: on_link(input, address) };
    let same = || of(cidr.addr().is_ipv4()).map(reach);
    if input.routing != Routing::Vxlan
        && let Some(reach) = same().find(|r| r.on_link.is_some())
    {
        return Ok(("direct", reach));
    }
    if input.routing == Routing::Direct {
        let missing = || format!("it has no InternalIP of the family of its pod CIDR {cidr}");
        return same().next().map(|r| ("routed", r)).ok_or_else(missing);
    }
    // the tunnel carries either family over either; the first address is the preferred one
    let mine = |v4: bool| input.me.internal_ips.iter().any(|ip| ip.is_ipv4() == v4);
    let address = node.internal_ips.iter().copied().find(|ip| mine(ip.is_ipv4()));
    address.map(|a| ("vxlan", reach(a))).ok_or_else(|| {
        "it has no InternalIP of a family that this node has too: give both nodes one".into()
    })
}

fn on_link(input: &Input<'_>, ip: IpAddr) -> Option<u32> {
    let networks = carriers(input).flat_map(|d| d.addresses.iter().map(move |net| (net, d)));
    networks
        .filter(|(net, _)| net.contains(&ip) && net.prefix_len() < net.max_prefix_len())
        .max_by_key(|(net, _)| net.prefix_len())
        .map(|(_, device)| device.ifindex)
}

fn source(input: &Input<'_>, v4: bool) -> Option<IpAddr> {
    input.me.internal_ips.iter().copied().find(|ip| ip.is_ipv4() == v4)
}

fn add(input: &Input<'_>, plan: &mut Plan, net: IpNet, way: &str, reach: &Reach) {
    let route = |device, via| Route {
        destination: net,
        kind: RouteKind::Unicast,
        device,
        via,
        source: source(input, net.addr().is_ipv4()),
        mtu: None,
        onlink: false,
    };
    let row = |way: Way, ifindex| NodeRow {
        next_hop: Addr::from(reach.address).0,
        ifindex,
        way: way as u8,
        pad: [0; 3],
    };
    match (way, reach.on_link, input.tunnel) {
        ("direct", Some(device), _) => {
            plan.rows.insert(NodeKey::new(net), row(Way::Direct, device));
            plan.routes.push(route(device, Some(reach.address)));
        }
        ("vxlan", _, tunnel) => {
            plan.tunnelled = true;
            if let Some(device) = tunnel {
                plan.rows.insert(NodeKey::new(net), row(Way::Vxlan, device));
                plan.routes.push(route(device, None));
            }
        }
        _ => {
            plan.rows.insert(NodeKey::new(net), row(Way::Kernel, 0));
        }
    }
}

/// Other nodes' internal addresses: in the cluster, so never masqueraded. Through the tunnel where
/// their pods are, since the network between does not know pods' addresses. Their external addresses
/// are the outside's: who answers there need not be the node.
fn add_addresses(input: &Input<'_>, plan: &mut Plan, node: &Node, peer: &Peer) {
    for ip in &node.internal_ips {
        let on_link = on_link(input, *ip).filter(|_| input.routing != Routing::Vxlan);
        let (way, ifindex, hop) = match (on_link, input.tunnel, peer.far) {
            (Some(device), ..) => (Way::Direct, device, *ip),
            (None, Some(tunnel), Some(far)) => (Way::Vxlan, tunnel, far),
            _ if peer.way == "routed" => (Way::Kernel, 0, *ip),
            // its pods are not reached, and it may not know ours
            _ => continue,
        };
        let row = NodeRow { next_hop: Addr::from(hop).0, ifindex, way: way as u8, pad: [0; 3] };
        plan.rows.insert(NodeKey::new(IpNet::from(*ip)), row);
    }
}

/// Devices that may carry traffic: not ours, not lo, not parts of another device; Ethernet, since that
/// is what the datapath reads.
fn candidates<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a Device> {
    input.devices.iter().filter(|d| {
        let ours = d.name == TUNNEL || is_host_link_name(&d.name);
        d.up && d.master.is_none() && d.mac.is_some() && d.name != "lo" && !ours
    })
}

/// The node's ways to other nodes: devices that are named, or else those with a default route or an
/// address of the node, and others that are no bridges (which containers of others are behind).
fn carriers<'a>(input: &'a Input<'a>) -> impl Iterator<Item = &'a Device> {
    candidates(input).filter(|d| {
        if !input.named_devices.is_empty() {
            return input.named_devices.contains(&d.name);
        }
        is_main(input, d) || d.kind.as_deref() != Some("bridge")
    })
}

fn is_main(input: &Input<'_>, device: &Device) -> bool {
    input.default_devices.contains(&device.ifindex)
        || device.addresses.iter().any(|net| input.me.internal_ips.contains(&net.addr()))
}

/// The node's devices: those that are named, or else all that lead somewhere.
fn uplinks(input: &Input<'_>) -> Vec<Uplink> {
    let leads = |d: &&Device| {
        let named = input.named_devices.contains(&d.name);
        let somewhere = !d.addresses.is_empty() || is_main(input, d);
        if input.named_devices.is_empty() { somewhere } else { named }
    };
    candidates(input).filter(leads).map(|d| uplink(input, d)).collect()
}

/// Devices that packets between nodes and to the default route leave by: they decide the MTU.
fn mtu_devices<'a>(input: &'a Input<'a>) -> impl Iterator<Item = &'a Device> {
    let peers: BTreeSet<u32> = input
        .nodes
        .values()
        .filter(|n| n.name != input.me.name)
        .flat_map(|n| &n.internal_ips)
        .filter_map(|ip| on_link(input, *ip))
        .collect();
    carriers(input).filter(move |d| {
        !input.named_devices.is_empty() || is_main(input, d) || peers.contains(&d.ifindex)
    })
}

fn uplink(input: &Input<'_>, device: &Device) -> Uplink {
    let address = |v4: bool, on: bool| {
        let all = || device.addresses.iter().map(IpNet::addr).filter(|ip| ip.is_ipv4() == v4);
        let preferred = all().find(|ip| input.me.internal_ips.contains(ip));
        preferred.or_else(|| all().next()).filter(|_| on).map_or([0; 16], |ip| Addr::from(ip).0)
    };
    Uplink {
        name: device.name.clone(),
        ifindex: device.ifindex,
        mtu: device.mtu,
        is_virtual: device.kind.is_some(),
        row: UplinkRow {
            v4: address(true, input.masquerade.ipv4),
            v6: address(false, input.masquerade.ipv6),
        },
    }
}

/// One MTU for all pods: the least over the ways in use. The tunnel is there unless it is forbidden:
/// the other node may choose it although we reach that node directly.
fn mtu(input: &Input<'_>, plan: &mut Plan, outer_v6: bool) {
    let smallest = mtu_devices(input).min_by_key(|d| d.mtu);
    let (base, device) = smallest.map_or((1500, "no device"), |d| (d.mtu, d.name.as_str()));
    let overhead = if outer_v6 { OVERHEAD_V6 } else { OVERHEAD_V4 };
    let tunnelled = plan.tunnelled || input.routing == Routing::Vxlan;
    plan.tunnel_mtu = (input.routing != Routing::Direct).then(|| base.saturating_sub(overhead));
    let (computed, reason) = if tunnelled {
        (base.saturating_sub(overhead), format!("vxlan over {device} ({base})"))
    } else {
        (base, format!("{device} ({base})"))
    };
    (plan.mtu, plan.mtu_reason) = match input.mtu {
        0 => (computed.max(SMALLEST_MTU), reason),
        mtu => (mtu, "configured".to_owned()),
    };
    if plan.mtu > computed {
        plan.problems.push(format!(
            "the pods' MTU {} is more than {computed}, which {device} carries: large packets take the slow way or are lost",
            plan.mtu
        ));
    }
}

#[cfg(test)]
#[path = "ways_tests.rs"]
mod tests;
