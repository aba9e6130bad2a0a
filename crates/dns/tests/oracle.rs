//! A second, plain reading of the specification: all records of a cluster written out as a list, and
//! a name looked up in it. It shares no code with the zone, which must answer the same.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it says")]

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;

use common::{KINDS, ask, endpoint, zone};
use fairlead_dns::core::Rtype;
use fairlead_model::{
    Endpoint, EndpointPort, EndpointSlice, Event, ObjectName, Protocol, Service, ServicePort,
    ServiceType,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Cluster {
    namespaces: Vec<String>,
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
}

/// Owner, type, data.
type Row = (String, String, String);

impl Cluster {
    fn rows(&self) -> BTreeSet<Row> {
        let mut rows = BTreeSet::new();
        let mut add = |owner: &str, rtype: &str, data: String| {
            rows.insert((owner.to_string(), rtype.to_string(), data));
        };
        add("cluster.local", "SOA", "minimum 5".into());
        add("cluster.local", "NS", "kube-dns.kube-system.svc.cluster.local".into());
        add("dns-version.cluster.local", "TXT", "1.1.0".into());
        for s in &self.services {
            let base = format!("{}.{}.svc.cluster.local", s.name.name, s.name.namespace);
            if let ServiceType::ExternalName(target) = &s.service_type {
                add(&base, "CNAME", target.clone());
                continue;
            }
            for ip in &s.cluster_ips {
                add(&base, family(*ip), ip.to_string());
                add(&arpa(*ip), "PTR", base.clone());
            }
            if !s.headless {
                for p in s.ports.iter().filter(|p| !p.name.is_empty()) {
                    let owner = srv(&p.name, p.protocol, &base);
                    add(&owner, "SRV", format!("{} {base}", p.port));
                }
            }
            let mine = self
                .slices
                .iter()
                .filter(|x| x.service == s.name.name && x.name.namespace == s.name.namespace);
            for (slice, e) in mine.flat_map(|x| x.endpoints.iter().map(move |e| (x, e))) {
                if !e.ready && !s.publish_not_ready_addresses {
                    continue;
                }
                let ip = e.addresses[0];
                let label = e.hostname.clone().unwrap_or_else(|| dashes(ip));
                let host = format!("{label}.{base}");
                add(&host, family(ip), ip.to_string());
                if !s.headless {
                    continue;
                }
                add(&base, family(ip), ip.to_string());
                if e.hostname.is_some() {
                    add(&arpa(ip), "PTR", host.clone());
                }
                for p in slice.ports.iter().filter(|p| !p.name.is_empty()) {
                    add(&srv(&p.name, p.protocol, &base), "SRV", format!("{} {host}", p.port));
                }
            }
        }
        rows
    }

    /// The answer's code and its records, sorted, without weights.
    fn answer(&self, question: &str, rtype: &str) -> (String, Vec<String>) {
        let rows = self.rows();
        let mut name = question.to_ascii_lowercase();
        let mut answers = Vec::new();
        for _ in 0..8 {
            if !below(&name, "cluster.local") {
                if name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa") {
                    return self.reverse(&rows, &name, rtype);
                }
                return match answers.is_empty() {
                    true => ("forward".into(), vec![]),
                    false => (format!("chase {name}"), answers),
                };
            }
            let alias = rows.iter().find(|(o, t, _)| *o == name && t == "CNAME");
            if let Some((owner, _, target)) = alias {
                answers.push(format!("{owner} CNAME {target}"));
                if rtype == "CNAME" {
                    return ("NOERROR".into(), answers);
                }
                name = target.clone();
                continue;
            }
            let mut found = of(&rows, &name, rtype);
            let mut exists = found.is_some() || self.exists(&rows, &name);
            if let Some((_, ip)) = pod(&name).filter(|(ns, _)| self.namespace(ns)) {
                exists = true;
                found = (family(ip) == rtype).then(|| vec![format!("{name} {rtype} {ip}")]);
            }
            answers.extend(found.into_iter().flatten());
            answers.sort();
            return (if exists { "NOERROR" } else { "NXDOMAIN" }.into(), answers);
        }
        ("SERVFAIL".into(), vec![])
    }

    fn reverse(&self, rows: &BTreeSet<Row>, name: &str, rtype: &str) -> (String, Vec<String>) {
        let known = rows.iter().any(|(o, _, _)| o == name);
        // 10.96.0.0/12 is ours.
        let ours = name
            .strip_suffix(".10.in-addr.arpa")
            .and_then(|n| n.rsplit('.').next()?.parse::<u8>().ok())
            .is_some_and(|second| (96..112).contains(&second));
        match (known, ours) {
            // An address outside of our prefixes is a zone of its own.
            (true, false) if rtype == "SOA" => {
                ("NOERROR".into(), vec![format!("{name} SOA minimum 5")])
            }
            (true, _) => ("NOERROR".into(), of(rows, name, rtype).unwrap_or_default()),
            (false, true) => ("NXDOMAIN".into(), vec![]),
            (false, false) => ("forward".into(), vec![]),
        }
    }

    fn namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|n| n == name)
            || self.services.iter().any(|s| s.name.namespace == name)
    }

    /// A name exists if it or one below it has records; the cluster's own levels always do.
    fn exists(&self, rows: &BTreeSet<Row>, name: &str) -> bool {
        let real = |name: &str| {
            rows.iter().any(|(owner, _, _)| below(owner, name))
                || ["svc.cluster.local", "pod.cluster.local"].contains(&name)
                || ["svc", "pod"].iter().any(|kind| {
                    name.strip_suffix(&format!(".{kind}.cluster.local"))
                        .is_some_and(|ns| self.namespace(ns))
                })
                || pod(name).is_some_and(|(ns, _)| self.namespace(&ns))
        };
        let aliased = |name: &str| rows.iter().any(|(o, t, _)| o == name && t == "CNAME");
        match name.strip_prefix("*.") {
            Some(parent) => self.exists(rows, parent) && !aliased(parent),
            None => real(name),
        }
    }
}

fn of(rows: &BTreeSet<Row>, name: &str, rtype: &str) -> Option<Vec<String>> {
    let found: Vec<String> = rows
        .iter()
        .filter(|(o, t, _)| o == name && t == rtype)
        .map(|(o, t, d)| format!("{o} {t} {d}"))
        .collect();
    (!found.is_empty()).then_some(found)
}

fn below(name: &str, parent: &str) -> bool {
    name == parent || name.ends_with(&format!(".{parent}"))
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "A" } else { "AAAA" }
}

fn srv(port: &str, protocol: Protocol, base: &str) -> String {
    format!("_{port}._{}.{base}", protocol.to_string().to_lowercase())
}

fn dashes(ip: IpAddr) -> String {
    let text = ip.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') { text + "0" } else { text }
}

fn arpa(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = format!("{:032x}", u128::from(v6));
            let labels: Vec<String> = digits.chars().rev().map(String::from).collect();
            labels.join(".") + ".ip6.arpa"
        }
    }
}

fn pod(name: &str) -> Option<(String, IpAddr)> {
    let (label, ns) = name.strip_suffix(".pod.cluster.local")?.split_once('.')?;
    let v4 = label.split('-').count() == 4 && label.split('-').all(|p| !p.is_empty());
    let ip = label.replace('-', if v4 { "." } else { ":" }).parse().ok()?;
    Some((ns.to_string(), ip))
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const IPS: [&str; 8] = [
    "10.96.0.1",
    "10.96.0.2",
    "10.244.0.1",
    "10.244.0.2",
    "10.244.1.1",
    "fd00::1",
    "fd00::",
    "fd00:1::2:3",
];
const PORTS: [&str; 3] = ["http", "dns", ""];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(String::from)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

fn a_service() -> impl Strategy<Value = Service> {
    let port = (prop::sample::select(&PORTS[..]), protocol(), 1u16..4)
        .prop_map(|(name, protocol, port)| ServicePort { name: name.into(), protocol, port });
    let target = prop::sample::select(vec![
        "example.com",
        "a.a.svc.cluster.local",
        "b.a.svc.cluster.local",
        "nope.svc.cluster.local",
        "10-1-2-3.a.pod.cluster.local",
    ]);
    let ips = prop::sample::subsequence(&["10.96.0.1", "10.96.0.2", "fd00::1"][..], 1..=2);
    (name(), name(), 0..5, target, ips, prop::collection::vec(port, 0..3), any::<bool>()).prop_map(
        |(namespace, name, kind, target, ips, ports, publish)| Service {
            name: ObjectName::new(namespace, name),
            service_type: match kind {
                0 => ServiceType::ExternalName(target.into()),
                1 => ServiceType::NodePort,
                _ => ServiceType::ClusterIp,
            },
            cluster_ips: match kind {
                1 | 2 => ips.iter().map(|ip| ip.parse().unwrap()).collect(),
                _ => vec![],
            },
            headless: kind > 2,
            ports,
            publish_not_ready_addresses: publish,
        },
    )
}

fn a_slice() -> impl Strategy<Value = EndpointSlice> {
    let hostname = prop::option::of(prop::sample::select(&["h-0", "h-1", "10-244-0-1"][..]));
    let one = (prop::sample::select(&IPS[..]), hostname, any::<bool>())
        .prop_map(|(ip, hostname, ready)| -> Endpoint { endpoint(ip, hostname, ready) });
    let port = (prop::sample::select(&PORTS[..]), protocol(), 1u16..4)
        .prop_map(|(name, protocol, port)| EndpointPort { name: name.into(), protocol, port });
    let names = (name(), "[x-z]", name());
    (names, prop::collection::vec(one, 0..4), prop::collection::vec(port, 0..3)).prop_map(
        |((namespace, name, service), endpoints, ports)| EndpointSlice {
            name: ObjectName::new(namespace, name),
            service,
            ports,
            endpoints,
        },
    )
}

fn a_cluster() -> impl Strategy<Value = Cluster> {
    let lists = (
        prop::collection::btree_set(name(), 0..4),
        prop::collection::vec(a_service(), 0..10),
        prop::collection::vec(a_slice(), 0..10),
    );
    lists.prop_map(|(namespaces, mut services, mut slices)| {
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services.dedup_by(|a, b| a.name == b.name);
        slices.sort_by(|a, b| a.name.cmp(&b.name));
        slices.dedup_by(|a, b| a.name == b.name);
        Cluster { namespaces: namespaces.into_iter().collect(), services, slices }
    })
}

fn a_question() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "d",
        "svc",
        "pod",
        "*",
        "_tcp",
        "_udp",
        "_sctp",
        "_http",
        "_dns",
        "http",
        "h-0",
        "h-1",
        "10-244-0-1",
        "10-244-1-1",
        "fd00--1",
        "fd00--0",
        "nope",
        "A",
        "SVC",
        "dns-version",
    ]);
    let free = prop::collection::vec(label.clone(), 0..6).prop_map(|mut labels| {
        labels.push("cluster.local");
        labels.join(".")
    });
    let head = prop::sample::select(vec![
        "",
        "_http._tcp.",
        "_dns._udp.",
        "_http._sctp.",
        "_tcp.",
        "h-0.",
        "10-244-0-1.",
        "*.",
        "fd00--1.",
        "fd00--0.",
    ]);
    let shaped =
        (head, name(), name()).prop_map(|(h, s, n)| format!("{h}{s}.{n}.svc.cluster.local"));
    let pods = (label, name()).prop_map(|(p, n)| format!("{p}.{n}.pod.cluster.local"));
    let reverse = prop::sample::select(&IPS[..]).prop_map(|ip| arpa(ip.parse().unwrap()));
    prop_oneof![2 => free, 5 => shaped, 1 => pods, 2 => reverse, 1 => Just("example.com".into())]
}

/// The zone's answer in the oracle's words.
fn said(lines: Vec<String>) -> (String, Vec<String>) {
    let mut rcode = lines[0].clone();
    let mut answers = Vec::new();
    for line in &lines[1..] {
        if line.starts_with("chase ") {
            rcode = line.clone();
        } else if !line.starts_with(['+', '~']) {
            // "owner SRV 0 weight port target": weights are not compared.
            let words: Vec<&str> = line.split(' ').collect();
            answers.push(match words[..] {
                [owner, "SRV", _, _, port, target] => format!("{owner} SRV {port} {target}"),
                _ => line.clone(),
            });
        }
    }
    // An alias comes first, the rest is sorted.
    let at = answers.iter().take_while(|l| l.contains(" CNAME ")).count();
    answers[at..].sort();
    (rcode, answers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_zone_answers_as_the_plain_specification(
        before in a_cluster(),
        cluster in a_cluster(),
        questions in prop::collection::vec(
            (a_question(), prop::sample::select(vec![
                Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype::PTR, Rtype::CNAME, Rtype::TXT, Rtype::SOA,
            ])),
            40,
        ),
    ) {
        // Another state, then a list of this one: what was before must leave no trace.
        let mut events = listed(&before, false);
        events.extend(listed(&cluster, true));
        let zone = zone(&events);
        for (name, rtype) in questions {
            let mut wanted = cluster.answer(&name, &rtype.to_string());
            let at = wanted.1.iter().take_while(|l| l.contains(" CNAME ")).count();
            wanted.1[at..].sort();
            let mut got = said(ask(&zone, &name, rtype));
            // Chains are compared as sets: the helper sorts what the answer holds.
            got.1.sort();
            wanted.1.sort();
            prop_assert_eq!(got, wanted, "{} {}", name, rtype);
        }
    }
}

fn listed(cluster: &Cluster, again: bool) -> Vec<Event> {
    let mut events: Vec<Event> = KINDS.into_iter().filter(|_| again).map(Event::Restart).collect();
    events.extend(common::events(
        &cluster.namespaces.iter().map(String::as_str).collect::<Vec<_>>(),
        cluster.services.clone(),
        cluster.slices.clone(),
    ));
    events
}

#[test]
fn the_oracle_itself_knows_the_specifications_examples() {
    let cluster = Cluster {
        namespaces: vec!["default".into()],
        services: vec![Service {
            name: ObjectName::new("default", "kubernetes"),
            service_type: ServiceType::ClusterIp,
            cluster_ips: vec!["10.3.0.1".parse().unwrap()],
            headless: false,
            ports: vec![ServicePort { name: "https".into(), protocol: Protocol::Tcp, port: 443 }],
            publish_not_ready_addresses: false,
        }],
        slices: vec![],
    };
    let answer = |name: &str, rtype| cluster.answer(name, rtype);
    assert_eq!(
        answer("kubernetes.default.svc.cluster.local", "A").1,
        ["kubernetes.default.svc.cluster.local A 10.3.0.1"]
    );
    assert_eq!(
        answer("_https._tcp.kubernetes.default.svc.cluster.local", "SRV").1,
        [
            "_https._tcp.kubernetes.default.svc.cluster.local SRV 443 kubernetes.default.svc.cluster.local"
        ]
    );
    assert_eq!(answer("nope.default.svc.cluster.local", "A").0, "NXDOMAIN");
}
