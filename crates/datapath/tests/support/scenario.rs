//! Generated scenarios: a few frontends, then packets, some of which follow from earlier ones.

use std::collections::BTreeMap;

use fairlead_model::Addr;
use fairlead_reference::{
    Action, Backend, Config, Frame, FrontendKey, Hook, Input, Outcome, Tables, Transport, Tuple,
};

use super::bench::Bench;
use super::packet::{ACK, FIN, L4, Piece, RST, SCTP, SYN, Spec, TCP, UDP};
use super::rng::Rng;
use super::world::{self, Devices};

const DONE_MARK: u32 = 0xf1ea_d000;
const HOOKS: [Hook; 6] = [
    Hook::FromPod,
    Hook::ToPod,
    Hook::FromWire,
    Hook::ToWire,
    Hook::FromOverlay,
    Hook::ToOverlay,
];

/// What happens, in an order.
#[derive(Clone, Debug)]
pub enum What {
    /// A packet out of nothing.
    Send { hook: Hook, device: &'static str, mark: u32, spec: Spec },
    /// The output of an earlier one goes on to another hook.
    Onward { of: usize, hook: Hook, device: &'static str },
    /// The other end of an earlier one answers.
    Answer { to: usize, flags: u8, piece: Piece },
    /// Somebody on the way of an earlier one has an objection.
    Error { about: usize, from: Option<Addr>, kind: u8, quoted: usize },
    /// The same packet again, with other TCP flags.
    Again { of: usize, flags: u8 },
    /// A Service's backends change.
    Backends { key: FrontendKey, backends: Option<Vec<Backend>> },
}

#[derive(Clone, Debug)]
pub struct Step {
    pub id: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub config: Config,
    pub steps: Vec<Step>,
}

fn backend_pool(v4: bool, proto: u8) -> Vec<Backend> {
    let addrs: &[&str] = if v4 {
        &["10.0.1.1", "10.0.1.2", "10.0.2.5", "10.0.3.5", "203.0.113.7", "192.168.0.2"]
    } else {
        &["fd00:1::1", "fd00:1::2", "fd00:2::5", "fd00:3::5", "2001:db8::7", "fd99::2"]
    };
    addrs.iter().map(|a| Backend { addr: world::addr(a), port: 8080, proto }).collect()
}

fn frontends() -> Vec<FrontendKey> {
    let addrs = [world::SERVICE_V4, world::SERVICE_V6].map(world::addr);
    let ports = [(80, TCP), (53, UDP), (53, TCP), (8080, SCTP)];
    let key = |addr, (port, proto)| FrontendKey { addr, port, proto };
    addrs.iter().flat_map(|a| ports.map(|p| key(*a, p))).collect()
}

fn backends(rng: &mut Rng, key: &FrontendKey) -> Option<Vec<Backend>> {
    if rng.chance(10) {
        return None;
    }
    let mut pool = backend_pool(key.addr.is_ipv4(), key.proto);
    pool.retain(|_| rng.chance(40));
    Some(pool)
}

impl Scenario {
    /// `length` steps from a seed.
    pub fn generate(seed: u64, length: usize) -> Self {
        let mut rng = Rng::new(seed);
        let (min, max) = rng.pick(&[(40_000, 40_003), (40_000, 40_031), (28_000, 32_767)]);
        let mut steps: Vec<What> = Vec::new();
        for key in frontends() {
            steps.push(What::Backends { key, backends: backends(&mut rng, &key) });
        }
        while steps.len() < length {
            steps.push(step(&mut rng, steps.len()));
        }
        let steps = steps.into_iter().enumerate().map(|(id, what)| Step { id, what }).collect();
        Scenario { config: Config { nat_port_min: min, nat_port_max: max }, steps }
    }
}

fn step(rng: &mut Rng, length: usize) -> What {
    // conversations are about what happened lately
    let recent = |rng: &mut Rng| length - 1 - rng.below(length.min(6));
    match rng.below(100) {
        0..5 => {
            let key = rng.pick(&frontends());
            What::Backends { key, backends: backends(rng, &key) }
        }
        5..25 => What::Onward {
            of: recent(rng),
            hook: rng.pick(&[Hook::ToWire, Hook::ToWire, Hook::ToWire, Hook::ToOverlay, Hook::ToPod]),
            device: rng.pick(&["up1", "up1", "up2", "tun"]),
        },
        25..45 => What::Answer { to: recent(rng), flags: flags(rng), piece: piece(rng) },
        45..58 => What::Error {
            about: recent(rng),
            from: rng.chance(50).then(|| world::addr("203.0.113.254")),
            kind: rng.below(20) as u8,
            quoted: rng.pick(&[8, 8, 20, 64, 7, 0]),
        },
        58..66 => What::Again { of: recent(rng), flags: flags(rng) },
        _ => send(rng),
    }
}

fn flags(rng: &mut Rng) -> u8 {
    rng.pick(&[SYN, SYN, SYN | ACK, ACK, ACK, ACK | FIN, RST, RST | ACK, 0])
}

fn piece(rng: &mut Rng) -> Piece {
    rng.pick(&[
        Piece::Whole,
        Piece::Whole,
        Piece::Whole,
        Piece::Whole,
        Piece::Whole,
        Piece::First,
        Piece::Later,
        Piece::Atomic,
    ])
}

fn send(rng: &mut Rng) -> What {
    // mostly what a pod would send; the rest is anything anywhere
    let v4 = rng.chance(50);
    let pod = rng.below(3);
    let likely = rng.chance(65);
    let hook = if likely { Hook::FromPod } else { rng.pick(&HOOKS) };
    let device = if likely { world::PODS[pod] } else { rng.pick(&["pod1", "pod2", "up1", "up2", "tun"]) };
    let pool = world::addresses(v4);
    let saddr = if likely { world::pod_addrs(pod)[usize::from(!v4)] } else { rng.pick(&pool) };
    let service = world::addr(if v4 { world::SERVICE_V4 } else { world::SERVICE_V6 });
    let daddr = if rng.chance(35) { service } else { rng.pick(&pool) };
    let mark = if rng.chance(5) { rng.pick(&[DONE_MARK, 1, DONE_MARK | 7]) } else { 0 };
    let spec = spec(rng, saddr, daddr);
    What::Send { hook, device, mark, spec }
}

fn spec(rng: &mut Rng, saddr: Addr, daddr: Addr) -> Spec {
    let v4 = saddr.is_ipv4();
    let mut spec = Spec::new(saddr, daddr, l4(rng, v4));
    spec.ttl = rng.pick(&[64, 64, 64, 64, 255, 2, 1, 0]);
    spec.piece = piece(rng);
    spec.id = rng.below(2) as u32 + if v4 { 0 } else { 0x0123_4567 };
    if rng.chance(20) {
        let count = rng.below(8);
        let kinds: &[u8] = if v4 { &[1] } else { &[0, 43, 60] };
        spec.options = (0..count).map(|_| rng.pick(kinds)).collect();
    }
    // around the MTUs of 1400, 1450 and 1500 and anything smaller
    spec.payload = rng.pick(&[0, 1, 2, 11, 100, 1352, 1360, 1372, 1380, 1422, 1432, 1472, 1480]);
    if rng.chance(4) {
        spec.cut = Some(15 + rng.below(80));
    }
    if rng.chance(10) {
        spec.padding = rng.below(20);
    }
    spec.wrong_checksum = rng.chance(5);
    spec
}

fn l4(rng: &mut Rng, v4: bool) -> L4 {
    let sport = rng.pick(&[1000, 1001, 8080, 40_000, 40_001]);
    let dport = rng.pick(&[80, 53, 8080, 40_000, 40_001, 443]);
    match rng.below(20) {
        0..7 => L4::Tcp { sport, dport, flags: flags(rng) },
        7..12 => L4::Udp { sport, dport, checksum: rng.chance(85) },
        12..14 => L4::Sctp { sport, dport },
        14..17 => L4::Echo { request: rng.chance(70), id: rng.pick(&[0, 1, 2, 40_000]) },
        17 => L4::Icmp { kind: rng.pick(&[5, 9, 13, 130, 133, 135, 136]) },
        18 => L4::Error { kind: rng.pick(if v4 { &[3, 11, 12] } else { &[1, 2, 3, 4] }), quoted: vec![0x45; rng.below(40)] },
        _ => L4::Other { proto: rng.pick(&[1, 58, 47, 50, 59, 4, 41, 136]) },
    }
}

/// Runs a scenario on both sides. `Err`: the step and the difference.
pub fn run(bench: &mut Bench, scenario: &Scenario) -> Result<usize, (usize, String)> {
    let mut tables = bench.reset(scenario.config);
    let (mut outcomes, mut packets) = (BTreeMap::new(), 0);
    for step in &scenario.steps {
        if let What::Backends { key, backends } = &step.what {
            bench.set_frontend(&mut tables, *key, backends.clone());
            continue;
        }
        let Some(sent) = build(&step.what, &outcomes, &tables, &bench.devices) else { continue };
        let input = Input { bytes: &sent.bytes, ifindex: sent.ifindex, mark: sent.mark };
        let outcome = bench.compare(&mut tables, sent.hook, input).map_err(|text| {
            (step.id, format!("{:?} device {} of\n  in  {:02x?}\n{text}", sent.hook, sent.ifindex, sent.bytes))
        })?;
        outcomes.insert(step.id, outcome);
        packets += 1;
    }
    Ok(packets)
}

/// A packet to run.
struct Sent {
    hook: Hook,
    ifindex: u32,
    mark: u32,
    bytes: Vec<u8>,
}

fn build(
    what: &What,
    outcomes: &BTreeMap<usize, Outcome>,
    tables: &Tables,
    devices: &Devices,
) -> Option<Sent> {
    let earlier = |id: &usize| outcomes.get(id).filter(|o| o.verdict.action != Action::Drop);
    match what {
        What::Backends { .. } => None,
        What::Send { hook, device, mark, spec } => {
            Some(Sent { hook: *hook, ifindex: devices[device], mark: *mark, bytes: spec.build() })
        }
        What::Onward { of, hook, device } => {
            let bytes = earlier(of)?.bytes.clone();
            Some(Sent { hook: *hook, ifindex: devices[device], mark: 0, bytes })
        }
        What::Again { of, flags } => {
            let frame = Frame::parse(&earlier(of)?.bytes).ok()?;
            let spec = Spec::new(frame.ip.saddr, frame.ip.daddr, l4_of(&frame, frame.ip.tuple(), *flags)?);
            Some(arrive(spec, tables, devices))
        }
        What::Answer { to, flags, piece } => {
            let frame = Frame::parse(&earlier(to)?.bytes).ok()?;
            let tuple = frame.ip.tuple().reversed();
            let mut spec = Spec::new(tuple.saddr, tuple.daddr, l4_of(&frame, tuple, *flags)?);
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

fn l4_of(frame: &Frame, tuple: Tuple, flags: u8) -> Option<L4> {
    let (sport, dport) = (tuple.sport, tuple.dport);
    Some(match (frame.ip.transport(), frame.ip.proto) {
        (Transport::Ports { .. }, TCP) => L4::Tcp { sport, dport, flags },
        (Transport::Ports { .. }, UDP) => L4::Udp { sport, dport, checksum: true },
        (Transport::Ports { .. }, _) => L4::Sctp { sport, dport },
        (Transport::Echo { request, id }, _) => L4::Echo { request: !request, id },
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
        if run(bench, &fewer).is_err_and(|(id, _)| id == failing) {
            small = fewer;
        }
    }
    small
}
