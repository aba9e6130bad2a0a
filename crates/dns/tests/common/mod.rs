//! Objects and questions in few words.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod net;

use std::net::IpAddr;

use domain::base::Name;
use fairlead_dns::core::{Answer, Config, Data, Outcome, RrSet, Rtype, Zone};
use fairlead_model::{
    Endpoint, EndpointPort, EndpointSlice, Event, Kind, Object, ObjectName, Protocol, Service,
    ServicePort, ServiceType,
};

/// The kinds that a zone waits for.
pub const KINDS: [Kind; 3] = [Kind::Namespace, Kind::Service, Kind::EndpointSlice];

pub fn service(namespace: &str, name: &str, ips: &[&str]) -> Service {
    Service {
        name: ObjectName::new(namespace, name),
        service_type: ServiceType::ClusterIp,
        cluster_ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        headless: ips.is_empty(),
        ports: vec![port("http", Protocol::Tcp, 80), port("", Protocol::Tcp, 9)],
        publish_not_ready_addresses: false,
    }
}

pub fn alias(namespace: &str, name: &str, target: &str) -> Service {
    Service {
        service_type: ServiceType::ExternalName(target.into()),
        headless: false,
        ..service(namespace, name, &[])
    }
}

pub fn port(name: &str, protocol: Protocol, port: u16) -> ServicePort {
    ServicePort { name: name.into(), protocol, port }
}

pub fn slice(
    namespace: &str,
    name: &str,
    service: &str,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    EndpointSlice {
        name: ObjectName::new(namespace, name),
        service: service.into(),
        ports: vec![EndpointPort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints,
    }
}

pub fn endpoint(ip: &str, hostname: Option<&str>, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.parse::<IpAddr>().unwrap()],
        ready,
        serving: ready,
        terminating: false,
        hostname: hostname.map(String::from),
        node_name: None,
        pod: None,
    }
}

pub fn events(
    namespaces: &[&str],
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
) -> Vec<Event> {
    let objects = namespaces
        .iter()
        .map(|n| Object::Namespace(n.to_string()))
        .chain(services.into_iter().map(Object::Service))
        .chain(slices.into_iter().map(Object::EndpointSlice));
    objects.map(Event::Apply).chain(KINDS.map(Event::Synced)).collect()
}

pub fn zone(events: &[Event]) -> Zone {
    let config = Config { reverse: vec!["10.96.0.0/12".parse().unwrap()], ..Config::default() };
    let mut zone = Zone::new(&config).unwrap();
    events.iter().for_each(|e| zone.apply(e));
    zone
}

/// A zone with one of each.
pub fn example() -> Zone {
    zone(&events(
        &["default", "kube-system", "empty"],
        vec![
            service("kube-system", "kube-dns", &["10.96.0.10"]),
            service("default", "web", &["10.96.0.1", "fd00:96::1"]),
            service("default", "db", &[]),
            service("default", "idle", &[]),
            alias("default", "ext", "www.example.com"),
            alias("default", "inner", "web.default.svc.cluster.local"),
            alias("default", "loop", "loop.default.svc.cluster.local"),
        ],
        vec![
            slice(
                "default",
                "db-4",
                "db",
                vec![
                    endpoint("10.244.0.5", Some("db-0"), true),
                    endpoint("10.244.0.6", None, true),
                    endpoint("10.244.0.7", Some("db-2"), false),
                ],
            ),
            slice("default", "db-6", "db", vec![endpoint("fd00:244::5", Some("db-0"), true)]),
            slice("default", "idle-4", "idle", vec![endpoint("10.244.0.9", None, false)]),
        ],
    ))
}

/// A zone with a headless Service of so many endpoints.
pub fn crowd(count: usize) -> Zone {
    let endpoints = (0..count)
        .map(|i| {
            endpoint(&format!("10.{}.{}.{}", 200 + (i >> 16), (i >> 8) & 255, i & 255), None, true)
        })
        .collect();
    let slices = vec![slice("default", "crowd-1", "crowd", endpoints)];
    zone(&events(&["default"], vec![service("default", "crowd", &[])], slices))
}

pub fn outcome(zone: &Zone, name: &str, rtype: Rtype) -> Outcome {
    let name: Name<Vec<u8>> = Name::vec_from_str(name).unwrap();
    zone.answer(name.for_slice(), rtype)
}

/// Code and answers, then authority and glue, as `owner TYPE data`, each part sorted.
pub fn ask(zone: &Zone, name: &str, rtype: Rtype) -> Vec<String> {
    match outcome(zone, name, rtype) {
        Outcome::Forward => vec!["forward".into()],
        Outcome::NotReady => vec!["not ready".into()],
        Outcome::Answer(answer) => lines(&answer),
    }
}

fn lines(answer: &Answer) -> Vec<String> {
    let mut lines = vec![answer.rcode.to_string()];
    for (part, sets) in
        [("", &answer.answers), ("+ ", &answer.authority), ("~ ", &answer.additional)]
    {
        let mut part: Vec<String> =
            sets.iter().flat_map(set).map(|l| format!("{part}{l}")).collect();
        part.sort();
        lines.extend(part);
    }
    lines.extend(answer.chase.iter().map(|n| format!("chase {n}")));
    lines
}

fn set(set: &RrSet) -> impl Iterator<Item = String> {
    set.data.iter().map(|d| format!("{} {} {}", set.owner, d.rtype(), data(d)))
}

pub fn data(data: &Data) -> String {
    match data {
        Data::A(ip) => ip.to_string(),
        Data::Aaaa(ip) => ip.to_string(),
        Data::Cname(n) | Data::Ptr(n) | Data::Ns(n) => n.to_string(),
        Data::Srv { weight, port, target } => format!("0 {weight} {port} {target}"),
        Data::Txt(text) => text.to_string(),
        // The serial is not part of what is compared.
        Data::Soa { minimum, .. } => format!("minimum {minimum}"),
        Data::Hinfo => "RFC8482".into(),
    }
}
