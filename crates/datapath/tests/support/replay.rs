//! Scenarios run on both sides: packets built from what earlier ones became.

use std::collections::BTreeMap;

use fairlead_reference::{Action, Frame, Hook, Input, Ip, Outcome, Tables, Transport, Tuple};

use super::bench::{Bench, hex};
use super::checksums;
use super::packet::{L4, Piece, Spec, TCP, UDP};
use super::scenario::{DONE_MARK, Scenario, What};
use super::world::Devices;

/// Runs a scenario on both sides and answers what happened. `Err`: the step and the difference.
pub fn run(bench: &mut Bench, scenario: &Scenario) -> Result<Vec<String>, (usize, String)> {
    let mut tables = bench.reset(scenario.config);
    let (mut past, mut happened) = (Past::new(), Vec::new());
    for step in &scenario.steps {
        if let What::Backends { key, backends } = &step.what {
            bench.set_frontend(&mut tables, *key, backends.clone());
            continue;
        }
        let Some(sent) = build(&step.what, &past, &tables, &bench.devices) else { continue };
        let input = Input { bytes: &sent.bytes, ifindex: sent.ifindex, mark: sent.mark };
        let outcome = bench.compare(&mut tables, sent.hook, input).map_err(|text| {
            (
                step.id,
                format!(
                    "{:?} device {} of\n  in   {}\n{text}",
                    sent.hook,
                    sent.ifindex,
                    hex(&sent.bytes)
                ),
            )
        })?;
        let right = checksums::are_right;
        if right(&sent.bytes) == Some(true) && right(&outcome.bytes) == Some(false) {
            return Err((step.id, format!("a checksum is wrong in {}", hex(&outcome.bytes))));
        }
        happened.push(describe(&sent, &outcome));
        past.insert(step.id, (sent, outcome));
    }
    Ok(happened)
}

/// Hook, verdict, and what was rewritten.
fn describe(sent: &Sent, outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let mut text = format!("{:?} {:?}", sent.hook, verdict.action);
    if verdict.action == Action::Drop {
        return format!("{text} {:?}", verdict.reason);
    }
    if verdict.action == Action::ToNeighbour && outcome.mark != DONE_MARK {
        text += " outside";
    }
    let (Ok(before), Ok(after)) = (Frame::parse(&sent.bytes), Frame::parse(&outcome.bytes)) else {
        return text + " unread";
    };
    if (before.ip.saddr, before.ip.daddr) != (after.ip.saddr, after.ip.daddr) {
        let what = match before.ip.transport() {
            Transport::Ports { .. } => "ports",
            Transport::Echo { .. } => "echo",
            Transport::Error => "error",
            Transport::Other => "other",
            Transport::LaterFragment => "later fragment",
        };
        text += &format!(" rewritten {what}");
    }
    text
}

/// Packets that were run, by step.
type Past = BTreeMap<usize, (Sent, Outcome)>;

/// A packet to run.
struct Sent {
    hook: Hook,
    ifindex: u32,
    mark: u32,
    bytes: Vec<u8>,
}

impl Sent {
    /// Another packet at the same place.
    fn with(&self, spec: &Spec) -> Sent {
        Sent { bytes: spec.build(), ..*self }
    }
}

fn build(what: &What, past: &Past, tables: &Tables, devices: &Devices) -> Option<Sent> {
    let earlier =
        |id: &usize| past.get(id).map(|(_, o)| o).filter(|o| o.verdict.action != Action::Drop);
    match what {
        What::Backends { .. } => None,
        What::Send { hook, device, mark, spec } => {
            Some(Sent { hook: *hook, ifindex: devices[device], mark: *mark, bytes: spec.build() })
        }
        What::Raw { hook, ethertype } => {
            let bytes = [&[2; 12][..], &ethertype.to_be_bytes(), &[0; 46]].concat();
            Some(Sent { hook: *hook, ifindex: devices["up1"], mark: 0, bytes })
        }
        What::Onward { of, hook, device } => {
            let bytes = earlier(of)?.bytes.clone();
            Some(Sent { hook: *hook, ifindex: devices[device], mark: 0, bytes })
        }
        What::Again { of, flags } => {
            let (sent, _) = past.get(of)?;
            let ip = Frame::parse(&sent.bytes).ok()?.ip;
            let l4 = l4_of(&ip, ip.tuple(), *flags)?;
            Some(sent.with(&Spec::new(ip.saddr, ip.daddr, l4)))
        }
        What::Rest { of } => {
            let (sent, _) = past.get(of)?;
            let ip = Frame::parse(&sent.bytes).ok()?.ip;
            let mut spec = Spec::new(ip.saddr, ip.daddr, L4::Other { proto: ip.proto });
            (spec.piece, spec.id) = (Piece::Later, ip.fragment?.id);
            Some(sent.with(&spec))
        }
        What::Answer { to, flags, piece } => {
            let frame = Frame::parse(&earlier(to)?.bytes).ok()?;
            let tuple = frame.ip.tuple().reversed();
            let l4 = l4_of(&frame.ip, tuple, *flags)?;
            let mut spec = Spec::new(tuple.saddr, tuple.daddr, l4);
            spec.piece = *piece;
            Some(arrive(spec, tables, devices))
        }
        What::Error { about, from, kind, quoted } => {
            let frame = Frame::parse(&earlier(about)?.bytes).ok()?;
            let (ip, emitted) = (&frame.ip, frame.emit());
            let end = (14 + ip.head.len() + quoted).min(emitted.len());
            let from = from.filter(|_| ip.is_v4()).unwrap_or(ip.daddr);
            let kinds: &[u8] = if ip.is_v4() { &[3, 11, 12] } else { &[1, 2, 3, 4] };
            let kind = kinds[usize::from(*kind) % kinds.len()];
            let l4 = L4::Error { kind, quoted: emitted[14..end].to_vec() };
            Some(arrive(Spec::new(from, ip.saddr, l4), tables, devices))
        }
    }
}

fn l4_of(ip: &Ip, tuple: Tuple, flags: u8) -> Option<L4> {
    let (sport, dport) = (tuple.sport, tuple.dport);
    Some(match (ip.transport(), ip.proto) {
        (Transport::Ports { .. }, TCP) => L4::Tcp { sport, dport, flags },
        (Transport::Ports { .. }, UDP) => L4::Udp { sport, dport, checksum: true },
        (Transport::Ports { .. }, _) => L4::Sctp { sport, dport },
        (Transport::Echo { request, id }, _) => {
            L4::Echo { request: !request || ip.tuple() == tuple, id }
        }
        (Transport::Other, proto) => L4::Other { proto },
        _ => return None,
    })
}

/// At the hook where a packet with this source comes in.
fn arrive(spec: Spec, tables: &Tables, devices: &Devices) -> Sent {
    let pod = tables.endpoints.get(&spec.saddr);
    let hook = if pod.is_some() { Hook::FromPod } else { Hook::FromWire };
    let ifindex = pod.map_or(devices["up1"], |pod| pod.ifindex);
    Sent { hook, ifindex, mark: 0, bytes: spec.build() }
}

/// The scenario without the steps that the difference does not need.
pub fn shrink(bench: &mut Bench, scenario: &Scenario, failing: usize) -> Scenario {
    let mut small = scenario.clone();
    small.steps.retain(|step| step.id <= failing);
    let mut at = small.steps.len();
    while at > 0 {
        at -= 1;
        let mut fewer = small.clone();
        fewer.steps.remove(at);
        // the kernel's choices are random: one run that agrees says little
        if (0..8).any(|_| run(bench, &fewer).is_err_and(|(id, _)| id == failing)) {
            small = fewer;
        }
    }
    small
}
