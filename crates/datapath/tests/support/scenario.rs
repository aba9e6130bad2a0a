//! Generated scenarios: a few frontends, then packets, some of which follow from earlier ones.

use fairlead_model::Addr;
use fairlead_reference::{Backend, Config, FrontendKey, Hook};

use super::packet::{ACK, FIN, L4, Piece, RST, SCTP, SYN, Spec, TCP, UDP};
use super::rng::Rng;
use super::world;

pub const DONE_MARK: u32 = 0xf1ea_d000;
const HOOKS: [Hook; 6] =
    [Hook::FromPod, Hook::ToPod, Hook::FromWire, Hook::ToWire, Hook::FromOverlay, Hook::ToOverlay];

/// What happens, in an order.
#[derive(Clone, Debug)]
pub enum What {
    /// A packet out of nothing.
    Send { hook: Hook, device: &'static str, mark: u32, spec: Spec },
    /// A frame that is not IP.
    Raw { hook: Hook, ethertype: u16 },
    /// The output of an earlier one goes on to another hook.
    Onward { of: usize, hook: Hook, device: &'static str },
    /// The other end of an earlier one answers.
    Answer { to: usize, flags: u8, piece: Piece },
    /// Somebody on the way of an earlier one has an objection.
    Error { about: usize, from: Option<Addr>, kind: u8, quoted: usize },
    /// An earlier one comes again, with other TCP flags.
    Again { of: usize, flags: u8 },
    /// A later fragment of an earlier one.
    Rest { of: usize },
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
        let theme = rng.pick(&[Theme::Anything, Theme::Outside, Theme::Services]);
        while steps.len() < length {
            steps.push(step(&mut rng, theme, steps.len()));
            if theme != Theme::Anything && rng.chance(50) {
                let of = steps.len() - 1;
                steps.push(What::Onward { of, hook: Hook::ToWire, device: "up1" });
            }
        }
        let steps = steps.into_iter().enumerate().map(|(id, what)| Step { id, what }).collect();
        Scenario { config: Config { nat_port_min: min, nat_port_max: max }, steps }
    }
}

/// What most packets of a scenario are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Anything,
    /// Few places outside the cluster: ports of masquerade become scarce.
    Outside,
    Services,
}

fn step(rng: &mut Rng, theme: Theme, length: usize) -> What {
    // conversations are about what happened lately
    let recent = |rng: &mut Rng| length - 1 - rng.below(length.min(6));
    match rng.below(100) {
        0..5 => {
            let key = rng.pick(&frontends());
            What::Backends { key, backends: backends(rng, &key) }
        }
        5..25 => What::Onward {
            of: recent(rng),
            hook: rng.pick(&[
                Hook::ToWire,
                Hook::ToWire,
                Hook::ToWire,
                Hook::ToOverlay,
                Hook::ToPod,
            ]),
            device: rng.pick(&["up1", "up1", "up2", "tun"]),
        },
        25..45 => What::Answer { to: recent(rng), flags: flags(rng), piece: piece(rng) },
        45..58 => What::Error {
            about: recent(rng),
            from: rng.chance(50).then(|| world::addr("203.0.113.254")),
            kind: rng.below(20) as u8,
            quoted: rng.pick(&[8, 8, 20, 64, 7, 0]),
        },
        58..60 => {
            let ethertype = rng.pick(&[0x0806, 0x88cc, 0x8100]);
            What::Raw { hook: rng.pick(&HOOKS), ethertype }
        }
        60..66 => What::Again { of: recent(rng), flags: flags(rng) },
        66..70 => What::Rest { of: recent(rng) },
        _ => send(rng, theme),
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

fn send(rng: &mut Rng, theme: Theme) -> What {
    // mostly what a pod would send; the rest is anything anywhere
    let v4 = rng.chance(50);
    let pod = rng.below(3);
    let likely = rng.chance(if theme == Theme::Anything { 65 } else { 95 });
    let hook = if likely { Hook::FromPod } else { rng.pick(&HOOKS) };
    let device =
        if likely { world::PODS[pod] } else { rng.pick(&["pod1", "pod2", "up1", "up2", "tun"]) };
    let pool = world::addresses(v4);
    let saddr = if likely { world::pod_addrs(pod)[usize::from(!v4)] } else { rng.pick(&pool) };
    let service = world::addr(if v4 { world::SERVICE_V4 } else { world::SERVICE_V6 });
    let outside = world::addr(if v4 { "203.0.113.7" } else { "2001:db8::7" });
    let daddr = match theme {
        Theme::Anything if rng.chance(35) => service,
        Theme::Services if rng.chance(90) => service,
        Theme::Outside if rng.chance(90) => outside,
        _ => rng.pick(&pool),
    };
    let mark = if rng.chance(5) { rng.pick(&[DONE_MARK, 1, DONE_MARK | 7]) } else { 0 };
    let mut spec = spec(rng, saddr, daddr);
    spec.l4 = match theme {
        Theme::Anything => spec.l4,
        Theme::Outside => scarce(spec.l4),
        Theme::Services => served(spec.l4),
    };
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

/// To ports that frontends have.
fn served(l4: L4) -> L4 {
    match l4 {
        L4::Tcp { sport, flags, .. } => L4::Tcp { sport, dport: 80, flags },
        L4::Udp { sport, checksum, .. } => L4::Udp { sport, dport: 53, checksum },
        L4::Sctp { sport, .. } => L4::Sctp { sport, dport: 8080 },
        other => other,
    }
}

/// To one port, and mostly to begin a flow.
fn scarce(l4: L4) -> L4 {
    match l4 {
        L4::Tcp { sport, .. } => L4::Tcp { sport, dport: 443, flags: SYN },
        L4::Udp { sport, checksum, .. } => L4::Udp { sport, dport: 443, checksum },
        L4::Sctp { sport, .. } => L4::Sctp { sport, dport: 443 },
        other => other,
    }
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
        18 => L4::Error {
            kind: rng.pick(if v4 { &[3, 11, 12] } else { &[1, 2, 3, 4] }),
            quoted: vec![0x45; rng.below(40)],
        },
        _ => L4::Other { proto: rng.pick(&[2, 47, 50, 59, 4, 41, 136]) },
    }
}
