//! Whole conversations through the kernel's programs, with what each packet must become written down.

#![allow(clippy::unwrap_used, reason = "a test's fixture may panic")]

mod support;

use fairlead_model::Addr;
use fairlead_reference::{Action, Backend, Config, Frame, FrontendKey, Hook, Input, Tables, Tuple};
use support::bench::Bench;
use support::packet::{ACK, FIN, L4, SYN, Spec, TCP, UDP};
use support::world::addr;
use support::{checksums, lab};

const CONFIG: Config = Config { nat_port_min: 40_000, nat_port_max: 40_031 };

struct Talk {
    bench: Bench,
    tables: Tables,
}

impl Talk {
    /// Runs a packet on both sides and answers what it became.
    fn send(&mut self, hook: Hook, device: &str, spec: &Spec) -> (Frame, Action) {
        let bytes = spec.build();
        let input = Input { bytes: &bytes, ifindex: self.bench.devices[device], mark: 0 };
        let outcome = self.bench.compare(&mut self.tables, hook, input);
        let outcome = outcome.unwrap_or_else(|text| panic!("{hook:?} of {spec:?}: {text}"));
        assert_ne!(checksums::are_right(&outcome.bytes), Some(false), "{spec:?}");
        (Frame::parse(&outcome.bytes).expect("a packet"), outcome.verdict.action)
    }

    fn tcp(
        &mut self,
        hook: Hook,
        device: &str,
        from: (Addr, u16),
        to: (Addr, u16),
        flags: u8,
    ) -> Tuple {
        let l4 = L4::Tcp { sport: from.1, dport: to.1, flags };
        self.send(hook, device, &Spec::new(from.0, to.0, l4)).0.ip.tuple()
    }
}

fn talk(name: &'static str, test: impl FnOnce(&mut Talk) + Send + 'static) {
    lab::with_bpffs(name, move |bpffs| {
        let mut bench = Bench::new(bpffs);
        let tables = bench.reset(CONFIG);
        test(&mut Talk { bench, tables });
    });
}

fn tuple(from: (Addr, u16), to: (Addr, u16), proto: u8) -> Tuple {
    Tuple { saddr: from.0, daddr: to.0, sport: from.1, dport: to.1, proto }
}

fn backend(addr_: &str, proto: u8) -> Backend {
    Backend { addr: addr(addr_), port: 8080, proto }
}

#[test]
fn a_pod_talks_to_the_outside_with_the_nodes_address_and_gets_answers_and_errors() {
    talk("masquerade", |talk| {
        let (pod, node) = (addr("10.0.1.1"), addr("192.168.0.1"));
        let server = (addr("203.0.113.7"), 443);
        let out = talk.tcp(Hook::ToWire, "up1", (pod, 1000), server, SYN);
        assert_eq!((out.saddr, out.daddr, out.dport), (node, server.0, server.1));
        assert!((40_000..=40_031).contains(&out.sport), "{out:?}");
        let back = talk.tcp(Hook::FromWire, "up1", server, (node, out.sport), SYN | ACK);
        assert_eq!(back, tuple(server, (pod, 1000), TCP));

        // a router in between has a smaller MTU: the pod must know its own packet in the quote
        let big = Spec::new(pod, server.0, L4::Tcp { sport: 1000, dport: 443, flags: ACK });
        let (sent, _) = talk.send(Hook::ToWire, "up1", &big);
        let quoted = sent.emit()[14..14 + 28].to_vec();
        let router = addr("203.0.113.254");
        let error = Spec::new(router, node, L4::Error { kind: 3, quoted });
        let (error, action) = talk.send(Hook::FromWire, "up1", &error);
        assert_eq!((error.ip.saddr, error.ip.daddr, action), (router, pod, Action::ToPod));
        let quote = &error.ip.payload[8..];
        assert_eq!((&quote[12..16], &quote[16..20]), (&pod.0[12..], &server.0.0[12..]));
        assert_eq!(quote[20..24], [1000u16.to_be_bytes(), 443u16.to_be_bytes()].concat());
        assert_eq!(checksums::checksum(&quote[..20]), 0, "the quoted header's checksum");
    });
}

#[test]
fn a_pod_that_is_its_own_backend_sees_the_service_as_its_peer() {
    talk("hairpin", |talk| {
        let (pod, service) = ((addr("fd00:1::1"), 1000), (addr("fd96::1"), 80));
        let key = FrontendKey { addr: service.0, port: 80, proto: TCP };
        talk.bench.set_frontend(&mut talk.tables, key, Some(vec![backend("fd00:1::1", TCP)]));
        let there = talk.tcp(Hook::FromPod, "pod1", pod, service, SYN);
        let port = there.sport;
        assert_eq!(there, tuple((service.0, port), (pod.0, 8080), TCP));
        let back = talk.tcp(Hook::FromPod, "pod1", (pod.0, 8080), (service.0, port), SYN | ACK);
        assert_eq!(back, tuple(service, pod, TCP));
    });
}

#[test]
fn a_port_that_is_used_again_reaches_a_living_backend_with_every_packet() {
    talk("a reused port", |talk| {
        let (pod, service) = ((addr("10.0.1.1"), 1000), (addr("10.96.0.1"), 80));
        let key = FrontendKey { addr: service.0, port: 80, proto: TCP };
        let old = backend("10.0.1.2", TCP);
        talk.bench.set_frontend(&mut talk.tables, key, Some(vec![old]));
        let there = talk.tcp(Hook::FromPod, "pod1", pod, service, SYN);
        let client = (pod.0, there.sport);
        talk.tcp(Hook::FromPod, "pod2", (old.addr, old.port), client, SYN | ACK);
        talk.tcp(Hook::FromPod, "pod1", pod, service, ACK);
        talk.tcp(Hook::FromPod, "pod1", pod, service, ACK);

        let new = backend("10.0.1.3", TCP);
        talk.bench.set_frontend(&mut talk.tables, key, Some(vec![new]));
        let drained = talk.tcp(Hook::FromPod, "pod1", pod, service, ACK);
        assert_eq!(drained.daddr, old.addr, "established connections drain");
        for flags in [SYN, ACK] {
            let again = talk.tcp(Hook::FromPod, "pod1", pod, service, flags);
            assert_eq!(again.daddr, new.addr, "flags {flags:#x}");
        }
    });
}

#[test]
fn a_connection_on_a_port_whose_last_one_was_closed_is_not_closing() {
    const CLOSING: u32 = 0x02;
    talk("a closed port", |talk| {
        let (pod, node) = ((addr("10.0.1.1"), 1000), addr("192.168.0.1"));
        let server = (addr("203.0.113.7"), 443);
        let out = talk.tcp(Hook::ToWire, "up1", pod, server, SYN);
        let nat = (node, out.sport);
        talk.tcp(Hook::FromWire, "up1", server, nat, SYN | ACK);
        talk.tcp(Hook::ToWire, "up1", pod, server, ACK);
        talk.tcp(Hook::ToWire, "up1", pod, server, ACK | FIN);
        talk.tcp(Hook::FromWire, "up1", server, nat, ACK | FIN);
        let closing = |talk: &Talk| {
            let maps = talk.bench.parts.translations.iter();
            let entries = maps.flat_map(|map| map.entries().unwrap());
            entries.filter(|(_, nat)| nat.flags & CLOSING != 0).count()
        };
        assert_eq!(closing(talk), 2);
        talk.tcp(Hook::ToWire, "up1", pod, server, SYN);
        talk.tcp(Hook::FromWire, "up1", server, nat, SYN | ACK);
        assert_eq!(closing(talk), 0, "it would be forgotten after ten quiet seconds");
    });
}

#[test]
fn datagrams_leave_a_backend_that_is_gone() {
    talk("datagrams", |talk| {
        let (pod, service) = (addr("10.0.1.1"), addr("10.96.0.1"));
        let key = FrontendKey { addr: service, port: 53, proto: UDP };
        let ask = Spec::new(pod, service, L4::Udp { sport: 1000, dport: 53, checksum: true });
        for to in ["10.0.1.2", "10.0.1.3"] {
            talk.bench.set_frontend(&mut talk.tables, key, Some(vec![backend(to, UDP)]));
            let (frame, action) = talk.send(Hook::FromPod, "pod1", &ask);
            assert_eq!((frame.ip.daddr, action), (addr(to), Action::ToPod));
        }
    });
}

#[test]
fn a_flow_to_a_service_that_leaves_the_cluster_is_translated_twice_and_back() {
    talk("both translations", |talk| {
        let (pod, service) = ((addr("10.0.1.1"), 1000), (addr("10.96.0.1"), 80));
        let key = FrontendKey { addr: service.0, port: 80, proto: TCP };
        let server = backend("203.0.113.7", TCP);
        talk.bench.set_frontend(&mut talk.tables, key, Some(vec![server]));
        let first = talk.tcp(Hook::FromPod, "pod1", pod, service, SYN);
        // not the pod's own port, which a connection to the server itself may have
        assert_ne!(first.sport, pod.1);
        assert_eq!(first, tuple((pod.0, first.sport), (server.addr, 8080), TCP));
        let own = (pod.0, first.sport);
        let second = talk.tcp(Hook::ToWire, "up1", own, (server.addr, 8080), SYN);
        assert_eq!(second.saddr, addr("192.168.0.1"));
        let nat = (second.saddr, second.sport);
        let back = talk.tcp(Hook::FromWire, "up1", (server.addr, 8080), nat, SYN | ACK);
        assert_eq!(back, tuple(service, pod, TCP));
    });
}

#[test]
fn later_fragments_follow_the_first_through_masquerade() {
    use support::packet::Piece;
    talk("fragments", |talk| {
        let (pod, server) = (addr("10.0.1.1"), addr("203.0.113.7"));
        let ping = L4::Echo { request: true, id: 7 };
        let mut spec = Spec::new(pod, server, ping);
        spec.piece = Piece::First;
        let (first, _) = talk.send(Hook::ToWire, "up1", &spec);
        spec.piece = Piece::Later;
        let (later, _) = talk.send(Hook::ToWire, "up1", &spec);
        assert_eq!(first.ip.saddr, addr("192.168.0.1"));
        assert_eq!(later.ip.saddr, first.ip.saddr);
    });
}
