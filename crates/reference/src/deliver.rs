//! Where a packet goes by its destination.

use crate::error_message;
use crate::fragment;
use crate::frame::Frame;
use crate::ip::Transport;
use crate::tables::{Endpoint, Kind, Node, Tables, Way};
use crate::verdict::{Action, Stop, Verdict};

/// Of every node's tunnel device.
const TUNNEL_MAC: [u8; 6] = [0x0a, 0x66, 0x6c, 0xff, 0x00, 0x01];
/// A VXLAN device takes a packet from its own address for a loop and drops it.
pub(crate) const SENDER_MAC: [u8; 6] = [0x0a, 0x66, 0x6c, 0xff, 0x00, 0x02];

/// By the destination in the tables; `None` when it is in neither.
pub(crate) fn by_destination(
    tables: &mut Tables,
    frame: &mut Frame,
) -> Result<Option<Verdict>, Stop> {
    if let Some(endpoint) = tables.endpoints.get(&frame.ip.daddr).copied() {
        return to_pod(tables, frame, &endpoint).map(Some);
    }
    let node = tables.node(frame.ip.daddr).copied();
    Ok(node.map(|node| to_node(tables, frame, &node)))
}

/// Into a pod of this node, from any hook but the one on its link.
pub(crate) fn to_pod(
    tables: &mut Tables,
    frame: &mut Frame,
    endpoint: &Endpoint,
) -> Result<Verdict, Stop> {
    if frame.ip.ttl <= 1 {
        return Ok(Verdict::PASS);
    }
    turn_back(tables, frame, endpoint)?;
    frame.ip.ttl -= 1;
    (frame.dst, frame.src) = (endpoint.pod_mac, endpoint.host_mac);
    Ok(Verdict { action: Action::ToPod, ifindex: endpoint.ifindex, ..Verdict::PASS })
}

/// An answer becomes what the pod expects, if a flow of the pod was ever translated.
pub(crate) fn turn_back(
    tables: &mut Tables,
    frame: &mut Frame,
    endpoint: &Endpoint,
) -> Result<(), Stop> {
    if !endpoint.translated {
        return Ok(());
    }
    if frame.ip.transport() == Transport::Error {
        error_message::translate(tables, &mut frame.ip, Kind::AT_POD);
        return Ok(());
    }
    // a later fragment without its first: nothing says that it is of a translated flow
    let Some(tuple) = fragment::tuple(tables, &frame.ip) else { return Ok(()) };
    if let Some(entry) = tables.known(&tuple, Kind::AT_POD) {
        frame.ip.rewrite(&entry.to);
    }
    Ok(())
}

fn to_node(tables: &Tables, frame: &mut Frame, node: &Node) -> Verdict {
    let action = match node.way {
        Way::Direct => Action::ToNeighbour,
        Way::Vxlan => Action::ToTunnel,
        Way::Local => return Verdict::PASS,
        Way::Kernel => return by_route(tables, frame),
    };
    if !may_go_on(tables, frame, node.ifindex) {
        return Verdict::PASS;
    }
    frame.ip.ttl -= 1;
    if node.way == Way::Vxlan {
        (frame.dst, frame.src) = (TUNNEL_MAC, SENDER_MAC);
    }
    Verdict { action, ifindex: node.ifindex, next_hop: node.next_hop, ..Verdict::PASS }
}

/// The kernel answers what does not fit, and what has come too far.
fn may_go_on(tables: &Tables, frame: &Frame, ifindex: u32) -> bool {
    let fits = tables.mtus.get(&ifindex).is_some_and(|mtu| frame.length() <= *mtu);
    fits && frame.ip.ttl > 1
}

/// By an uplink, where the kernel's routes lead there, past its firewall. What is for this node, or has
/// no route, passes.
pub(crate) fn by_route(tables: &Tables, frame: &mut Frame) -> Verdict {
    let Some(gateway) = tables.gateway(frame.ip.daddr) else { return Verdict::PASS };
    let uplink = tables.uplinks.contains_key(&gateway.ifindex);
    if !uplink || !may_go_on(tables, frame, gateway.ifindex) {
        return Verdict::PASS;
    }
    frame.ip.ttl -= 1;
    let (ifindex, next_hop) = (gateway.ifindex, gateway.next_hop);
    Verdict { action: Action::ToNeighbour, ifindex, next_hop, ..Verdict::PASS }
}
