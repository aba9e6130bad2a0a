//! The six hooks that see packets.

use fairlead_model::Addr;

use crate::Chosen;
use crate::deliver;
use crate::error_message;
use crate::fragment;
use crate::frame::{Frame, Unreadable};
use crate::ip::{Ip, Transport, proto};
use crate::masquerade;
use crate::service;
use crate::tables::{Kind, Tables, Translation, Way};
use crate::verdict::{Action, Outcome, Reason, Stop, Unexplained, Verdict};

/// A packet that was sent on to a device passes that device's hook, too: the mark says that it was
/// decided about already.
const DONE_MARK: u32 = 0xf1ea_d000;

/// A place where the datapath sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "ARCHITECTURE.md has them")]
pub enum Hook {
    FromPod,
    ToPod,
    FromWire,
    ToWire,
    FromOverlay,
    ToOverlay,
}

/// What a hook gets.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The Ethernet frame.
    pub bytes: &'a [u8],
    /// The device that the program is attached to.
    pub ifindex: u32,
    /// The packet's mark.
    pub mark: u32,
}

type Decision = Result<Verdict, Stop>;
type Decide<'a> = dyn FnMut(&mut Tables, &mut Frame) -> Decision + 'a;

/// Runs a hook.
pub fn run(
    hook: Hook,
    tables: &mut Tables,
    input: Input<'_>,
    chosen: &Chosen<'_>,
) -> Result<Outcome, Unexplained> {
    match hook {
        Hook::FromPod => from_pod(tables, input, chosen),
        Hook::ToPod => to_pod(tables, input),
        Hook::FromWire => from_wire(tables, input),
        Hook::ToWire => to_wire(tables, input, chosen),
        Hook::FromOverlay => from_overlay(tables, input),
        Hook::ToOverlay => to_overlay(tables, input),
    }
}

/// Parses, decides, emits. `strict` hooks drop what can't be read, others leave it to the kernel.
fn handle(
    tables: &mut Tables,
    input: Input<'_>,
    strict: bool,
    decide: &mut Decide<'_>,
) -> Result<Outcome, Unexplained> {
    let untouched = |verdict| Outcome { bytes: input.bytes.to_vec(), verdict, mark: input.mark };
    let mut frame = match Frame::parse(input.bytes) {
        Ok(frame) => frame,
        Err(unreadable) => return Ok(untouched(verdict_on(unreadable, strict))),
    };
    match decide(tables, &mut frame) {
        Ok(verdict) => Ok(Outcome {
            bytes: frame.emit(),
            verdict,
            mark: mark_after(tables, &frame, &verdict, input.mark),
        }),
        Err(Stop::Drop(reason)) => Ok(untouched(Verdict::drop(reason))),
        Err(Stop::Unexplained(unexplained)) => Err(unexplained),
    }
}

/// What goes by the kernel's routes still passes `to_wire`, which may have to masquerade it.
fn mark_after(tables: &Tables, frame: &Frame, verdict: &Verdict, before: u32) -> u32 {
    let sent = matches!(verdict.action, Action::ToNeighbour | Action::ToTunnel);
    let routed = tables.node(frame.ip.daddr).is_none_or(|node| node.way == Way::Kernel);
    if sent && !routed { DONE_MARK } else { before }
}

fn verdict_on(unreadable: Unreadable, strict: bool) -> Verdict {
    match unreadable {
        Unreadable::Arp => Verdict::PASS,
        _ if !strict => Verdict::PASS,
        Unreadable::Ethertype => Verdict::drop(Reason::UnsupportedEthertype),
        Unreadable::Malformed => Verdict::drop(Reason::Malformed),
        Unreadable::ExtensionHeaders => Verdict::drop(Reason::ExtensionHeaders),
    }
}

/// A pod sends.
pub fn from_pod(
    tables: &mut Tables,
    input: Input<'_>,
    chosen: &Chosen<'_>,
) -> Result<Outcome, Unexplained> {
    handle(tables, input, true, &mut |tables, frame| {
        if stays_on_link(&frame.ip) {
            return Ok(Verdict::PASS);
        }
        let source = tables.endpoints.get(&frame.ip.saddr);
        if source.is_none_or(|endpoint| endpoint.ifindex != input.ifindex) {
            return Err(Reason::SourceAddress.into());
        }
        if let Some(verdict) = deliver::by_destination(tables, frame)? {
            return Ok(verdict);
        }
        if frame.ip.has_ports()
            && service::translate(tables, frame, chosen)?
            && let Some(verdict) = deliver::by_destination(tables, frame)?
        {
            return Ok(verdict);
        }
        Ok(deliver::by_route(tables, frame))
    })
}

/// Neighbour discovery (RFC 4861) and its kin.
fn stays_on_link(ip: &Ip) -> bool {
    let link_local = |a: Addr| a.0[0] == 0xfe && a.0[1] & 0xc0 == 0x80;
    let (s, d) = (ip.saddr, ip.daddr);
    !ip.is_v4()
        && ip.proto == proto::ICMPV6
        && (link_local(s) || s.0 == [0; 16])
        && (link_local(d) || d.0[0] == 0xff)
}

/// The kernel hands a packet to a pod's link.
pub fn to_pod(tables: &mut Tables, input: Input<'_>) -> Result<Outcome, Unexplained> {
    handle(tables, input, true, &mut |tables, frame| {
        let endpoint = tables.endpoints.get(&frame.ip.daddr).copied();
        if let Some(endpoint) = endpoint.filter(|e| e.ifindex == input.ifindex) {
            deliver::turn_back(tables, frame, &endpoint)?;
        }
        Ok(Verdict::PASS)
    })
}

/// A device of the node received.
pub fn from_wire(tables: &mut Tables, input: Input<'_>) -> Result<Outcome, Unexplained> {
    handle(tables, input, false, &mut |tables, frame| arrive(tables, frame, input.ifindex))
}

fn arrive(tables: &mut Tables, frame: &mut Frame, ifindex: u32) -> Decision {
    if let Some(endpoint) = tables.endpoints.get(&frame.ip.daddr).copied() {
        // nothing answers an error (RFC 1122, section 3.2.2)
        let asks = frame.ip.proto != proto::TCP && frame.ip.transport() != Transport::Error;
        if asks && tables.node(frame.ip.saddr).is_none() {
            note_inbound(tables, &frame.ip);
        }
        return deliver::to_pod(tables, frame, &endpoint);
    }
    if !tables.uplinks.contains_key(&ifindex) || !may_be_answer(tables, &frame.ip) {
        return Ok(Verdict::PASS);
    }
    if frame.ip.transport() == Transport::Error {
        error_message::translate(tables, &mut frame.ip, Kind::AT_WIRE);
    } else {
        // a fragment without its first may well be the node's own
        let Some(tuple) = fragment::tuple(tables, &frame.ip) else { return Ok(Verdict::PASS) };
        if let Some(entry) = tables.known(&tuple, Kind::AT_WIRE) {
            frame.ip.rewrite(&entry.to);
        }
    }
    match tables.endpoints.get(&frame.ip.daddr).copied() {
        Some(endpoint) => deliver::to_pod(tables, frame, &endpoint),
        None => Ok(Verdict::PASS),
    }
}

/// The answers to a flow that came in must not be masqueraded.
fn note_inbound(tables: &mut Tables, ip: &Ip) {
    let Some(tuple) = fragment::tuple(tables, ip) else { return };
    let answer = tuple.reversed();
    let (kind, reply) = (Kind::Inbound, false);
    let identity = Translation { to: answer, kind, reply, backend: None };
    tables.translations.entry(answer).or_insert(identity);
}

fn may_be_answer(tables: &Tables, ip: &Ip) -> bool {
    let range = tables.config.nat_port_min..=tables.config.nat_port_max;
    match ip.transport() {
        Transport::Ports { dport, .. } => ip.proto == proto::SCTP || range.contains(&dport),
        _ => true,
    }
}

/// A device of the node is about to send.
pub fn to_wire(
    tables: &mut Tables,
    input: Input<'_>,
    chosen: &Chosen<'_>,
) -> Result<Outcome, Unexplained> {
    if input.mark == DONE_MARK {
        return Ok(Outcome { bytes: input.bytes.to_vec(), verdict: Verdict::PASS, mark: 0 });
    }
    handle(tables, input, false, &mut |tables, frame| {
        let of_pod = tables.endpoints.contains_key(&frame.ip.saddr);
        let uplink = tables.uplinks.get(&input.ifindex).copied();
        if let Some(uplink) = uplink.filter(|_| of_pod && tables.node(frame.ip.daddr).is_none()) {
            masquerade::leave(tables, frame, &uplink, chosen)?;
        }
        Ok(Verdict::PASS)
    })
}

/// The tunnel received. Without a tunnel key, which is all that a test run can show.
pub fn from_overlay(tables: &mut Tables, input: Input<'_>) -> Result<Outcome, Unexplained> {
    handle(tables, input, true, &mut |_, _| Err(Reason::Tunnel.into()))
}

/// The kernel routed a packet to the tunnel.
pub fn to_overlay(tables: &mut Tables, input: Input<'_>) -> Result<Outcome, Unexplained> {
    if input.mark == DONE_MARK {
        return Ok(Outcome { bytes: input.bytes.to_vec(), verdict: Verdict::PASS, mark: 0 });
    }
    handle(tables, input, true, &mut |tables, frame| {
        let node = tables.node(frame.ip.daddr).filter(|node| node.way == Way::Vxlan);
        let multicast = match frame.ip.daddr.ip() {
            std::net::IpAddr::V4(v4) => v4.is_multicast(),
            std::net::IpAddr::V6(v6) => v6.is_multicast(),
        };
        if node.is_none() && multicast {
            return Ok(Verdict::PASS); // the device sends nothing that has no far end
        }
        let node = node.ok_or(Reason::Tunnel)?;
        frame.src = deliver::SENDER_MAC;
        Ok(Verdict { next_hop: node.next_hop, ..Verdict::PASS })
    })
}
