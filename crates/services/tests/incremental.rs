//! Whatever the order of events, the tables are those of the objects that remain, and every Service
//! whose table changed was named. The oracle below goes through all objects for each question.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fairlead_model::{
    Addr, Endpoint, EndpointPort, EndpointSlice, Event, Kind, Object, ObjectName, Protocol,
    Service, ServicePort, ServiceType,
};
use fairlead_services::{FrontendSpec, Problem, State};
use proptest::prelude::*;
use proptest::sample::select;

type Objects = BTreeMap<(Kind, ObjectName), Object>;
/// Address, port, protocol, port name and (address, port, node) of each backend.
type Row = (IpAddr, u16, Protocol, String, Vec<(IpAddr, u16, Option<String>)>);

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

fn name() -> impl Strategy<Value = ObjectName> {
    (select(vec!["x", "y"]), select(vec!["a", "b", "c"])).prop_map(|(ns, n)| ObjectName::new(ns, n))
}

fn port_name() -> impl Strategy<Value = String> {
    select(vec!["", "p", "q"]).prop_map(String::from)
}

fn service() -> impl Strategy<Value = Service> {
    let cluster_ips = prop::collection::vec(select(vec!["10.0.0.1", "10.0.0.2", "fd00::1"]), 0..3);
    let ports = prop::collection::vec((port_name(), protocol(), 1..4u16), 0..4);
    (name(), cluster_ips, ports).prop_map(|(name, ips, ports)| Service {
        name,
        service_type: ServiceType::ClusterIp,
        headless: ips.is_empty(),
        cluster_ips: ips.into_iter().map(|ip| ip.parse().unwrap()).collect(),
        ports: ports
            .into_iter()
            .map(|(name, protocol, port)| ServicePort { name, protocol, port })
            .collect(),
        publish_not_ready_addresses: false,
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let address =
        select(vec!["10.1.0.1", "10.1.0.2", "127.0.0.1", "fd01::1", "fe80::1", "fd01::2"]);
    let node = select(vec![None, Some("n1"), Some("n2")]);
    (prop::option::weighted(0.9, address), any::<[bool; 3]>(), node).prop_map(
        |(address, [ready, serving, terminating], node)| Endpoint {
            addresses: address.into_iter().map(|a| a.parse().unwrap()).collect(),
            ready,
            serving,
            terminating,
            hostname: None,
            node_name: node.map(String::from),
            pod: None,
        },
    )
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    let ports = prop::collection::vec((port_name(), protocol(), 1..4u16), 0..3);
    let service = select(vec!["a", "b", "c", ""]);
    (name(), service, ports, prop::collection::vec(endpoint(), 0..4)).prop_map(
        |(name, service, ports, endpoints)| EndpointSlice {
            name,
            service: service.into(),
            ports: ports
                .into_iter()
                .map(|(name, protocol, port)| EndpointPort { name, protocol, port })
                .collect(),
            endpoints,
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Object),
    Delete(Kind, ObjectName),
    /// A list again: those that remain of what is, new ones, and a deletion while it runs.
    Relist {
        kind: Kind,
        keep: Vec<bool>,
        new: Vec<Object>,
        delete: Option<ObjectName>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || select(vec![Kind::Service, Kind::EndpointSlice]);
    let object = || {
        prop_oneof![
            service().prop_map(Object::Service),
            slice().prop_map(Object::EndpointSlice),
            Just(Object::Namespace("x".into())),
        ]
    };
    let relist = (
        kind(),
        prop::collection::vec(any::<bool>(), 12),
        prop::collection::vec(object(), 0..3),
        prop::option::of(name()),
    );
    prop_oneof![
        6 => object().prop_map(Step::Apply),
        2 => (kind(), name()).prop_map(|(kind, name)| Step::Delete(kind, name)),
        1 => relist.prop_map(|(kind, keep, new, delete)| Step::Relist { kind, keep, new, delete }),
    ]
}

/// The events of a step, and the objects that there are after it.
fn events(step: Step, objects: &mut Objects) -> Vec<Event> {
    let mut events = Vec::new();
    let apply = |o: Object, objects: &mut Objects| {
        objects.insert((o.kind(), o.name()), o.clone());
        Event::Apply(o)
    };
    match step {
        Step::Apply(o) => events.push(apply(o, objects)),
        Step::Delete(kind, name) => {
            objects.remove(&(kind, name.clone()));
            events.push(Event::Delete(kind, name));
        }
        Step::Relist { kind, keep, new, delete } => {
            let mut keep = keep.into_iter();
            objects.retain(|(k, _), _| *k != kind || keep.next().unwrap_or(true));
            events.push(Event::Restart(kind));
            let kept: Vec<Object> =
                objects.values().filter(|o| o.kind() == kind).cloned().collect();
            events.extend(kept.into_iter().map(Event::Apply));
            events.extend(new.into_iter().map(|o| apply(o, objects)));
            if let Some(name) = delete {
                objects.remove(&(kind, name.clone()));
                events.push(Event::Delete(kind, name));
            }
            events.push(Event::Synced(kind));
        }
    }
    events
}

fn expected(objects: &Objects, name: &ObjectName) -> Vec<Row> {
    let Some(Object::Service(service)) = objects.get(&(Kind::Service, name.clone())) else {
        return Vec::new();
    };
    let mut rows: Vec<Row> = Vec::new();
    for ip in &service.cluster_ips {
        let before = objects.values().any(|o| match o {
            Object::Service(s) => s.name < *name && s.cluster_ips.contains(ip),
            _ => false,
        });
        for port in service.ports.iter().filter(|_| !before) {
            if rows.iter().any(|r| (r.0, r.1, r.2) == (*ip, port.port, port.protocol)) {
                continue;
            }
            let backends = expected_backends(objects, name, *ip, port);
            rows.push((*ip, port.port, port.protocol, port.name.clone(), backends));
        }
    }
    rows
}

fn expected_backends(
    objects: &Objects,
    service: &ObjectName,
    ip: IpAddr,
    port: &ServicePort,
) -> Vec<(IpAddr, u16, Option<String>)> {
    let mut all = Vec::new();
    for object in objects.values() {
        let Object::EndpointSlice(slice) = object else { continue };
        if slice.service != service.name || slice.name.namespace != service.namespace {
            continue;
        }
        for p in &slice.ports {
            for e in &slice.endpoints {
                if p.name == port.name && p.protocol == port.protocol {
                    all.push((e, p.port));
                }
            }
        }
    }
    all.retain(|(e, _)| {
        e.addresses.first().is_some_and(|a| {
            a.is_ipv4() == ip.is_ipv4() && !["127.0.0.1", "fe80::1"].contains(&&*a.to_string())
        })
    });
    if all.iter().any(|(e, _)| e.ready) {
        all.retain(|(e, _)| e.ready);
    } else {
        all.retain(|(e, _)| e.serving && e.terminating);
    }
    let mut ends: BTreeSet<(IpAddr, u16)> = all.iter().map(|(e, p)| (e.addresses[0], *p)).collect();
    if port.protocol == Protocol::Sctp {
        ends.retain(|(_, p)| *p == port.port);
    }
    let node = |end: &(IpAddr, u16)| {
        let same = all.iter().filter(|(e, p)| (e.addresses[0], *p) == *end);
        same.filter_map(|(e, _)| e.node_name.clone()).min()
    };
    ends.iter().map(|end| (end.0, end.1, node(end))).collect()
}

fn row(spec: FrontendSpec) -> Row {
    let backends = spec.backends.iter();
    (
        spec.addr.ip(),
        spec.port,
        spec.protocol,
        spec.port_name,
        backends.map(|b| (b.addr.ip(), b.port, b.node_name.as_deref().map(String::from))).collect(),
    )
}

fn rows(state: &State, name: &ObjectName) -> Vec<Row> {
    state.frontends(name).into_iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_table_kept_by_events_is_the_table_of_the_objects(
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut state = State::new();
        let mut objects = Objects::new();
        // What a consumer has that asks only for the Services that it was told of.
        let mut kept: BTreeMap<ObjectName, Vec<Row>> = BTreeMap::new();
        for step in steps {
            for event in events(step, &mut objects) {
                for name in state.apply(&event) {
                    kept.insert(name.clone(), rows(&state, &name));
                }
            }
            for (ns, n) in ["x", "y"].iter().flat_map(|ns| ["a", "b", "c"].map(|n| (*ns, n))) {
                let name = ObjectName::new(ns, n);
                let got = kept.get(&name).cloned().unwrap_or_default();
                prop_assert_eq!(got, expected(&objects, &name), "{}", name);
            }
        }
    }
}

fn web(ip: &str) -> Service {
    Service {
        name: ObjectName::new("x", "web"),
        service_type: ServiceType::ClusterIp,
        cluster_ips: vec![ip.parse().unwrap()],
        headless: false,
        ports: vec![ServicePort { name: "p".into(), protocol: Protocol::Tcp, port: 80 }],
        publish_not_ready_addresses: false,
    }
}

fn web_slice(count: u32) -> EndpointSlice {
    let endpoint = |i: u32| Endpoint {
        addresses: vec![IpAddr::from((0x0a01_0000 + i).to_be_bytes())],
        ready: true,
        serving: true,
        terminating: false,
        hostname: Some(format!("web-{i}")),
        node_name: None,
        pod: None,
    };
    EndpointSlice {
        name: ObjectName::new("x", "web-1"),
        service: "web".into(),
        ports: vec![EndpointPort { name: "p".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: (0..count).map(endpoint).collect(),
    }
}

#[test]
fn saying_an_object_again_makes_nothing_dirty() {
    let mut state = State::new();
    let service = Event::Apply(Object::Service(web("10.0.0.1")));
    let slice = Event::Apply(Object::EndpointSlice(web_slice(3)));
    assert_eq!(state.apply(&service).len(), 1);
    assert_eq!(state.apply(&slice).len(), 1);
    for event in [
        &Event::Restart(Kind::Service),
        &Event::Restart(Kind::EndpointSlice),
        &service,
        &slice,
        &Event::Synced(Kind::Service),
        &Event::Synced(Kind::EndpointSlice),
    ] {
        assert!(state.apply(event).is_empty(), "{event:?}");
    }
    assert_eq!(state.frontends(&ObjectName::new("x", "web"))[0].backends.len(), 3);
}

#[test]
fn a_cluster_address_that_changes_hands_makes_both_services_dirty() {
    let mut state = State::new();
    let later = Service { name: ObjectName::new("x", "zoo"), ..web("10.0.0.1") };
    state.apply(&Event::Apply(Object::Service(later.clone())));
    let dirty = state.apply(&Event::Apply(Object::Service(web("10.0.0.1"))));
    assert_eq!(dirty, [ObjectName::new("x", "web"), later.name.clone()].into());
    assert!(state.frontends(&later.name).is_empty());
    let dirty = state.apply(&Event::Delete(Kind::Service, ObjectName::new("x", "web")));
    assert_eq!(dirty.len(), 2);
    assert_eq!(state.frontends(&later.name)[0].addr, Addr::from(IpAddr::from([10, 0, 0, 1])));
}

#[test]
fn more_endpoints_than_a_frontend_can_count_are_cut_and_told() {
    let mut state = State::new();
    state.apply(&Event::Apply(Object::Service(web("10.0.0.1"))));
    state.apply(&Event::Apply(Object::EndpointSlice(web_slice(70_000))));
    let name = ObjectName::new("x", "web");
    assert_eq!(state.frontends(&name)[0].backends.len(), 65_535);
    assert_eq!(state.problems(&name), [Problem::TooManyBackends { port: 80, count: 70_000 }]);
}
