//! Services in the kernel through changes, restarts and packets meanwhile.

#![allow(clippy::unwrap_used, reason = "a test's fixture may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap, Map, MapData};
use fairlead_datapath::contract::{self, FrontendKey, Slot};
use fairlead_datapath::{Datapath, Parts, Sizes};
use fairlead_model::{Addr, ObjectName, Protocol};
use fairlead_reference::{Frame, Hook, Input};
use fairlead_services::{BackendAddr, FrontendSpec};
use support::packet::{L4, SYN, Spec};
use support::rng::Rng;
use support::world::addr;
use support::{bench, lab};

fn sizes() -> Sizes {
    let small = [("fl_frontends", 64), ("fl_slots", 512), ("fl_backends", 256)];
    let all = small.map(|(name, size)| (name.to_owned(), size)).into_iter();
    all.chain(bench::sizes()).collect()
}

fn name(service: usize) -> ObjectName {
    ObjectName::new("default", format!("service-{service}"))
}

fn frontend(service: usize, port: u16, backends: Vec<Addr>) -> FrontendSpec {
    let backend = |addr| BackendAddr { addr, port: 8080, node_name: None };
    FrontendSpec {
        addr: addr(&format!("10.96.0.{}", service + 1)),
        port,
        protocol: if port == 53 { Protocol::Udp } else { Protocol::Tcp },
        port_name: String::new(),
        backends: backends.into_iter().map(backend).collect(),
    }
}

/// What programs would find: frontends with their backends in order.
type State = BTreeMap<(Addr, u16, u8), Vec<(Addr, u16)>>;

/// The maps as programs read them.
struct Kernel {
    frontends: HashMap<MapData, FrontendKey, contract::Frontend>,
    slots: Array<MapData, Slot>,
    backends: Array<MapData, contract::Backend>,
}

impl Kernel {
    fn open(datapath: &Datapath) -> Self {
        let pin = |name| MapData::from_pin(datapath.map_dir().join(name)).unwrap();
        Kernel {
            frontends: Map::HashMap(pin("fl_frontends")).try_into().unwrap(),
            slots: Map::Array(pin("fl_slots")).try_into().unwrap(),
            backends: Map::Array(pin("fl_backends")).try_into().unwrap(),
        }
    }

    fn state(&self) -> State {
        let entries = self.frontends.iter().map(Result::unwrap);
        entries
            .map(|(key, frontend)| {
                let (start, count) = (frontend.run as u32, (frontend.run >> 32) as u16);
                let backends = (start..start + u32::from(count)).map(|index| {
                    let slot = self.slots.get(&index, 0).unwrap();
                    assert_eq!(
                        slot.service, frontend.service,
                        "slot {index} is of another Service"
                    );
                    let backend = self.backends.get(&slot.backend, 0).unwrap();
                    assert_eq!(backend.proto, key.proto, "backend {} has ended", slot.backend);
                    (Addr(backend.addr), u16::from_be(backend.port))
                });
                ((Addr(key.addr), u16::from_be(key.port), key.proto), backends.collect())
            })
            .collect()
    }

    fn living_backends(&self) -> usize {
        self.backends.iter().filter(|b| b.as_ref().unwrap().proto != 0).count()
    }
}

fn wanted(services: &BTreeMap<usize, Vec<FrontendSpec>>) -> State {
    let specs = services.values().flatten();
    specs
        .map(|s| {
            let backends = s.backends.iter().map(|b| (b.addr, b.port)).collect();
            ((s.addr, s.port, s.protocol.number()), backends)
        })
        .collect()
}

fn open(bpffs: &Path) -> (Datapath, Parts) {
    Datapath::open(bpffs, &sizes()).expect("the datapath loads")
}

fn some_frontends(rng: &mut Rng, service: usize) -> Vec<FrontendSpec> {
    let mut pool: Vec<Addr> = (1..20).map(|i| addr(&format!("10.0.1.{i}"))).collect();
    let few = rng.below(60);
    [80, 443, 53]
        .into_iter()
        .filter(|_| rng.chance(60))
        .collect::<Vec<u16>>()
        .into_iter()
        .map(|port| {
            let at = rng.below(pool.len());
            pool.rotate_left(at);
            let mut backends = pool.clone();
            backends.retain(|_| rng.below(100) < few);
            backends.sort();
            frontend(service, port, backends)
        })
        .collect()
}

#[test]
fn after_ten_thousand_changes_everything_is_as_wanted_and_nothing_leaks() {
    lab::with_bpffs("the balancer's churn", |bpffs| {
        let (datapath, mut parts) = open(bpffs);
        let kernel = Kernel::open(&datapath);
        let (mut rng, mut services, mut now) = (Rng::new(1), BTreeMap::new(), 0);
        for change in 0..10_000 {
            now += 400;
            let service = rng.below(8);
            let specs = if rng.chance(20) { Vec::new() } else { some_frontends(&mut rng, service) };
            parts.balancer.apply(&name(service), &specs, now).unwrap();
            services.insert(service, specs);
            if change % 250 == 0 {
                assert_eq!(kernel.state(), wanted(&services), "after change {change}");
            }
        }
        assert_eq!(kernel.state(), wanted(&services));
        let slots: usize = kernel.state().values().map(Vec::len).sum();
        assert_eq!(parts.balancer.slots_in_use().0 as usize, slots);
        assert_eq!(parts.balancer.counts().1, kernel.living_backends());

        for service in 0..8 {
            parts.balancer.apply(&name(service), &[], now).unwrap();
        }
        assert_eq!(parts.balancer.counts(), (0, 0));
        assert_eq!(parts.balancer.slots_in_use().0, 0);
        assert_eq!((kernel.state().len(), kernel.living_backends()), (0, 0));
    });
}

#[test]
fn a_restart_finds_what_was_there_and_changes_nothing() {
    lab::with_bpffs("the balancer's restart", |bpffs| {
        let mut rng = Rng::new(7);
        let services: BTreeMap<usize, _> =
            (0..8).map(|service| (service, some_frontends(&mut rng, service))).collect();
        let (datapath, mut parts) = open(bpffs);
        for (service, specs) in &services {
            parts.balancer.apply(&name(*service), specs, 0).unwrap();
        }
        let before = Kernel::open(&datapath).state();
        let (counts, slots) = (parts.balancer.counts(), parts.balancer.slots_in_use());
        assert!(
            before.values().map(Vec::len).sum::<usize>() > 10,
            "there is something: {before:?}"
        );
        drop((datapath, parts));

        let (datapath, mut parts) = open(bpffs);
        assert_eq!(Kernel::open(&datapath).state(), before);
        assert_eq!((parts.balancer.counts(), parts.balancer.slots_in_use()), (counts, slots));
        for (service, specs) in &services {
            assert_eq!(parts.balancer.apply(&name(*service), specs, 0).unwrap(), 0, "no change");
        }
        assert_eq!(parts.balancer.prune(0).unwrap(), 0, "all of them have an owner");
        assert_eq!(Kernel::open(&datapath).state(), before);
    });
}

#[test]
fn a_service_that_went_while_nobody_watched_is_pruned_after_a_restart() {
    lab::with_bpffs("the balancer's pruning", |bpffs| {
        let keep = [frontend(0, 80, vec![addr("10.0.1.1"), addr("10.0.1.2")])];
        let stale = [frontend(1, 80, vec![addr("10.0.1.2"), addr("10.0.1.3")])];
        let (datapath, mut parts) = open(bpffs);
        parts.balancer.apply(&name(0), &keep, 0).unwrap();
        parts.balancer.apply(&name(1), &stale, 0).unwrap();
        drop((datapath, parts));

        let (datapath, mut parts) = open(bpffs);
        parts.balancer.apply(&name(0), &keep, 0).unwrap();
        assert_eq!(parts.balancer.prune(0).unwrap(), 1);
        let kernel = Kernel::open(&datapath);
        assert_eq!(kernel.state(), wanted(&BTreeMap::from([(0, keep.to_vec())])));
        assert_eq!(kernel.living_backends(), 2, "the one that both had lives on");
    });
}

/// Backends that say by their address of which change they are.
fn generation(number: u32) -> Vec<Addr> {
    (1..=3).map(|i| Addr::from(std::net::Ipv4Addr::from(0x6400_0000 | number << 2 | i))).collect()
}

fn generation_of(addr: Addr) -> u32 {
    let bytes = addr.0[12..].try_into().expect("four bytes");
    (u32::from_be_bytes(bytes) & 0x00ff_ffff) >> 2
}

/// Changes that were begun and that were done.
#[derive(Default)]
struct Progress {
    begun: AtomicU32,
    done: AtomicU32,
}

/// New connections to the Service until `end`; answers how many.
fn connect(datapath: &mut Datapath, progress: &Progress, ifindex: u32, end: Instant) -> u32 {
    let (mut connects, service) = (0u32, addr("10.96.0.1"));
    while Instant::now() < end {
        connects += 1;
        let sport = 1024 + (connects % 60_000) as u16;
        let l4 = L4::Tcp { sport, dport: 80, flags: SYN };
        let bytes = Spec::new(addr("10.0.1.1"), service, l4).build();
        let oldest = progress.done.load(Ordering::SeqCst);
        let ran = bench::run(datapath, Hook::FromPod, Input { bytes: &bytes, ifindex, mark: 0 });
        let newest = progress.begun.load(Ordering::SeqCst);
        assert_eq!(ran.returned, -1, "a connection was dropped");
        let chosen = Frame::parse(&ran.bytes).expect("a packet").ip.daddr;
        assert_ne!(chosen, service, "a connection was not translated");
        let of = generation_of(chosen);
        assert!((oldest..=newest).contains(&of), "{chosen} is of {of}, not of {oldest}..={newest}");
    }
    connects
}

#[test]
fn a_new_connection_reaches_a_backend_of_before_or_after_a_change() {
    lab::with_bpffs("the balancer under packets", |bpffs| {
        let (mut datapath, mut parts) = open(bpffs);
        let ifindex = lab::device("pod1", 1500);
        let pod = contract::Endpoint { ifindex, ..Default::default() };
        datapath.put_endpoint(addr("10.0.1.1"), pod).unwrap();
        let ports =
            contract::Config { nat_port_min: 1024, nat_port_max: 65535, ..Default::default() };
        datapath.set_config(ports).unwrap();
        let (begin, end) = (Instant::now(), Instant::now() + Duration::from_millis(2500));
        let (progress, ready) = (Arc::new(Progress::default()), Arc::new(Barrier::new(2)));
        parts.balancer.apply(&name(0), &[frontend(0, 80, generation(0))], 0).unwrap();
        let reader = std::thread::spawn({
            let (progress, ready) = (progress.clone(), ready.clone());
            move || {
                ready.wait();
                connect(&mut datapath, &progress, ifindex, end)
            }
        });
        ready.wait();
        let mut number = 0;
        while Instant::now() < end && !reader.is_finished() {
            let now = begin.elapsed().as_millis() as u64;
            let specs = [frontend(0, 80, generation(number + 1))];
            progress.begun.store(number + 1, Ordering::SeqCst);
            // full until what was freed has rested: the change waits, nothing breaks
            if parts.balancer.apply(&name(0), &specs, now).is_ok() {
                number += 1;
                progress.done.store(number, Ordering::SeqCst);
            }
            // another Service takes what this one frees
            let other = [frontend(1, 80, generation(0x3f_0000 + number))];
            let _full = parts.balancer.apply(&name(1), &other, now);
        }
        let connects = reader.join().expect("every connection was fine");
        assert!(connects > 1000 && number > 50, "{connects} connects, {number} changes");
    });
}

#[test]
fn a_service_that_does_not_fit_leaves_nothing_behind() {
    lab::with_bpffs("a full balancer", |bpffs| {
        let (datapath, mut parts) = open(bpffs);
        let kernel = Kernel::open(&datapath);
        let many = (0..300u32).map(|i| Addr::from(std::net::Ipv4Addr::from(0x6400_0000 | i)));
        let too_many = frontend(0, 443, many.collect());
        let fits = frontend(0, 80, vec![addr("10.0.1.1")]);
        for now in (0..20_000).step_by(2000) {
            let error = parts.balancer.apply(&name(0), std::slice::from_ref(&too_many), now);
            assert!(error.is_err_and(|e| e.to_string().contains("fl_backends is full")));
            assert_eq!((parts.balancer.slots_in_use().0, parts.balancer.counts()), (0, (0, 0)));
            assert_eq!(kernel.living_backends(), 0);
        }
        let ports = 1000..1100;
        let too_many_ports: Vec<_> =
            ports.map(|port| frontend(0, port, vec![addr("10.0.1.1")])).collect();
        assert!(parts.balancer.apply(&name(0), &too_many_ports, 25_000).is_err());
        assert_eq!(parts.balancer.slots_in_use().0 as usize, kernel.state().len());

        let both = [fits, too_many];
        assert!(parts.balancer.apply(&name(0), &both, 30_000).is_err());
        parts.balancer.apply(&name(0), &[], 40_000).unwrap();
        assert_eq!(kernel.state(), State::new(), "the Service is gone with all that it had");
    });
}
