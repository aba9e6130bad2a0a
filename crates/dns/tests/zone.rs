//! The specification by example.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it says")]

mod common;

use common::*;
use fairlead_dns::core::Rtype;
use fairlead_model::{Event, Kind, Object, ObjectName};

const SOA: &str = "+ cluster.local SOA minimum 5";

fn none(rcode: &str) -> Vec<String> {
    vec![rcode.into(), SOA.into()]
}

#[test]
fn a_service_has_its_addresses_by_family() {
    let zone = example();
    let name = "web.default.svc.cluster.local";
    assert_eq!(ask(&zone, name, Rtype::A), ["NOERROR", &format!("{name} A 10.96.0.1")]);
    assert_eq!(ask(&zone, name, Rtype::AAAA), ["NOERROR", &format!("{name} AAAA fd00:96::1")]);
    assert_eq!(ask(&zone, name, Rtype::MX), none("NOERROR"));
    assert_eq!(ask(&zone, &name.to_uppercase(), Rtype::A), ask(&zone, name, Rtype::A));
}

#[test]
fn a_headless_service_has_its_ready_endpoints() {
    let zone = example();
    let name = "db.default.svc.cluster.local";
    assert_eq!(
        ask(&zone, name, Rtype::A),
        ["NOERROR", &format!("{name} A 10.244.0.5"), &format!("{name} A 10.244.0.6")]
    );
    assert_eq!(ask(&zone, "idle.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
}

#[test]
fn an_endpoint_has_its_host_name_or_else_its_dashed_address() {
    let zone = example();
    let at = |host: &str| format!("{host}.db.default.svc.cluster.local");
    assert_eq!(ask(&zone, &at("db-0"), Rtype::A), ["NOERROR", &(at("db-0") + " A 10.244.0.5")]);
    assert_eq!(
        ask(&zone, &at("db-0"), Rtype::AAAA),
        ["NOERROR", &(at("db-0") + " AAAA fd00:244::5")]
    );
    assert_eq!(
        ask(&zone, &at("10-244-0-6"), Rtype::A),
        ["NOERROR", &(at("10-244-0-6") + " A 10.244.0.6")]
    );
    assert_eq!(ask(&zone, &at("10-244-0-6"), Rtype::AAAA), none("NOERROR"));
    for absent in ["10-244-0-5", "db-2", "db-9", "a.db-0"] {
        assert_eq!(ask(&zone, &at(absent), Rtype::A), none("NXDOMAIN"), "{absent}");
    }
}

#[test]
fn a_named_port_has_service_records_with_glue() {
    let zone = example();
    let name = "_http._tcp.web.default.svc.cluster.local";
    assert_eq!(
        ask(&zone, name, Rtype::SRV),
        [
            "NOERROR",
            &format!("{name} SRV 0 100 80 web.default.svc.cluster.local"),
            "~ web.default.svc.cluster.local A 10.96.0.1",
            "~ web.default.svc.cluster.local AAAA fd00:96::1",
        ]
    );
    assert_eq!(ask(&zone, name, Rtype::A), none("NOERROR"));
    assert_eq!(ask(&zone, "_tcp.web.default.svc.cluster.local", Rtype::SRV), none("NOERROR"));
    for absent in ["_udp", "_http._udp", "_nope._tcp", "http._tcp", "http.tcp", "_._tcp"] {
        let name = format!("{absent}.web.default.svc.cluster.local");
        assert_eq!(ask(&zone, &name, Rtype::SRV), none("NXDOMAIN"), "{absent}");
    }
}

#[test]
fn a_headless_port_leads_to_every_endpoint_once() {
    let zone = example();
    let name = "_http._tcp.db.default.svc.cluster.local";
    assert_eq!(
        ask(&zone, name, Rtype::SRV),
        [
            "NOERROR",
            &format!("{name} SRV 0 50 8080 10-244-0-6.db.default.svc.cluster.local"),
            &format!("{name} SRV 0 50 8080 db-0.db.default.svc.cluster.local"),
            "~ 10-244-0-6.db.default.svc.cluster.local A 10.244.0.6",
            "~ db-0.db.default.svc.cluster.local A 10.244.0.5",
            "~ db-0.db.default.svc.cluster.local AAAA fd00:244::5",
        ]
    );
}

#[test]
fn an_external_name_is_an_alias_that_is_followed() {
    let zone = example();
    assert_eq!(
        ask(&zone, "ext.default.svc.cluster.local", Rtype::A),
        ["NOERROR", "ext.default.svc.cluster.local CNAME www.example.com", "chase www.example.com"]
    );
    assert_eq!(
        ask(&zone, "inner.default.svc.cluster.local", Rtype::A),
        [
            "NOERROR",
            "inner.default.svc.cluster.local CNAME web.default.svc.cluster.local",
            "web.default.svc.cluster.local A 10.96.0.1"
        ]
    );
    assert_eq!(ask(&zone, "loop.default.svc.cluster.local", Rtype::A), ["SERVFAIL"]);
    assert_eq!(ask(&zone, "x.ext.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
}

#[test]
fn what_exists_without_records_is_told_from_what_does_not_exist() {
    let zone = example();
    for name in
        ["", "svc.", "pod.", "default.svc.", "empty.svc.", "empty.pod.", "*.", "*.default.svc."]
    {
        let name = format!("{name}cluster.local");
        assert_eq!(ask(&zone, &name, Rtype::A), none("NOERROR"), "{name}");
    }
    for name in [
        "nope",
        "nope.svc",
        "web.nope.svc",
        "nope.default.svc",
        "a.b.c.d.default.svc",
        "*.nope.svc",
    ] {
        let name = format!("{name}.cluster.local");
        assert_eq!(ask(&zone, &name, Rtype::A), none("NXDOMAIN"), "{name}");
    }
}

#[test]
fn the_apex_and_the_version_are_answered() {
    let zone = example();
    assert_eq!(
        ask(&zone, "cluster.local", Rtype::NS),
        [
            "NOERROR",
            "cluster.local NS kube-dns.kube-system.svc.cluster.local",
            "~ kube-dns.kube-system.svc.cluster.local A 10.96.0.10"
        ]
    );
    assert_eq!(ask(&zone, "cluster.local", Rtype::SOA), ["NOERROR", &SOA[2..]]);
    assert_eq!(
        ask(&zone, "dns-version.cluster.local", Rtype::TXT),
        ["NOERROR", "dns-version.cluster.local TXT 1.1.0"]
    );
    assert_eq!(
        ask(&zone, "web.default.svc.cluster.local", Rtype::ANY),
        ["NOERROR", "web.default.svc.cluster.local HINFO RFC8482"]
    );
}

#[test]
fn a_pod_name_is_its_address_in_any_existing_namespace() {
    let zone = example();
    let name = |pod: &str| format!("{pod}.pod.cluster.local");
    assert_eq!(
        ask(&zone, &name("10-1-2-3.empty"), Rtype::A),
        ["NOERROR", &(name("10-1-2-3.empty") + " A 10.1.2.3")]
    );
    assert_eq!(
        ask(&zone, &name("fd00--7.empty"), Rtype::AAAA),
        ["NOERROR", &(name("fd00--7.empty") + " AAAA fd00::7")]
    );
    assert_eq!(ask(&zone, &name("10-1-2-3.empty"), Rtype::AAAA), none("NOERROR"));
    for absent in ["10-1-2-3.nope", "10-1-2.empty", "10-1-2-256.empty", "x.10-1-2-3.empty"] {
        assert_eq!(ask(&zone, &name(absent), Rtype::A), none("NXDOMAIN"), "{absent}");
    }
}

#[test]
fn addresses_have_the_names_of_their_service_or_endpoint() {
    let zone = example();
    let v4 = "1.0.96.10.in-addr.arpa";
    assert_eq!(
        ask(&zone, v4, Rtype::PTR),
        ["NOERROR", &format!("{v4} PTR web.default.svc.cluster.local")]
    );
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa";
    assert_eq!(
        ask(&zone, v6, Rtype::PTR),
        ["NOERROR", &format!("{v6} PTR web.default.svc.cluster.local")]
    );
    let pod = "5.0.244.10.in-addr.arpa";
    assert_eq!(
        ask(&zone, pod, Rtype::PTR),
        ["NOERROR", &format!("{pod} PTR db-0.db.default.svc.cluster.local")]
    );
    assert_eq!(ask(&zone, "6.0.244.10.in-addr.arpa", Rtype::PTR), ["forward"], "no host name");
}

#[test]
fn reverse_zones_of_ours_deny_and_others_are_forwarded() {
    let zone = example();
    let soa = "+ 96.10.in-addr.arpa SOA minimum 5";
    assert_eq!(ask(&zone, "9.9.96.10.in-addr.arpa", Rtype::PTR), ["NXDOMAIN", soa]);
    assert_eq!(ask(&zone, "1.0.96.10.in-addr.arpa", Rtype::A), ["NOERROR", soa]);
    assert_eq!(ask(&zone, "0.96.10.in-addr.arpa", Rtype::PTR), ["NOERROR", soa]);
    assert_eq!(ask(&zone, "96.10.in-addr.arpa", Rtype::SOA), ["NOERROR", &soa[2..]]);
    assert_eq!(ask(&zone, "10.in-addr.arpa", Rtype::PTR), ["forward"]);
    assert_eq!(ask(&zone, "8.8.8.8.in-addr.arpa", Rtype::PTR), ["forward"]);
    assert_eq!(ask(&zone, "x.1.0.96.10.in-addr.arpa", Rtype::PTR), ["forward"]);
}

#[test]
fn other_names_are_forwarded() {
    let zone = example();
    for name in ["example.com", "local", "xcluster.local", ".", "cluster.local.example.com"] {
        assert_eq!(ask(&zone, name, Rtype::A), ["forward"], "{name}");
    }
}

#[test]
fn nothing_is_denied_before_everything_has_been_read() {
    let mut zone = zone(&[]);
    for kind in KINDS {
        assert_eq!(ask(&zone, "web.default.svc.cluster.local", Rtype::A), ["not ready"]);
        assert_eq!(ask(&zone, "1.0.96.10.in-addr.arpa", Rtype::PTR), ["not ready"]);
        zone.apply(&Event::Synced(kind));
    }
    assert_eq!(ask(&zone, "web.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
    zone.apply(&Event::Restart(Kind::Service));
    assert_eq!(ask(&zone, "web.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
}

#[test]
fn what_a_new_list_does_not_name_is_gone_at_its_end() {
    let mut zone = example();
    let name = "web.default.svc.cluster.local";
    let ptr = "1.0.96.10.in-addr.arpa";
    zone.apply(&Event::Restart(Kind::Service));
    zone.apply(&Event::Apply(Object::Service(service("default", "db", &[]))));
    assert_eq!(ask(&zone, name, Rtype::A)[0], "NOERROR");
    zone.apply(&Event::Synced(Kind::Service));
    assert_eq!(ask(&zone, name, Rtype::A), none("NXDOMAIN"));
    assert_eq!(ask(&zone, ptr, Rtype::PTR)[0], "NXDOMAIN");
    assert_eq!(ask(&zone, "db.default.svc.cluster.local", Rtype::A).len(), 3);

    zone.apply(&Event::Restart(Kind::EndpointSlice));
    zone.apply(&Event::Synced(Kind::EndpointSlice));
    assert_eq!(ask(&zone, "db.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
    zone.apply(&Event::Delete(Kind::Namespace, ObjectName::new("", "empty")));
    assert_eq!(ask(&zone, "empty.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
}

#[test]
fn a_slice_may_come_before_its_service_and_go_to_another() {
    let mut zone = zone(&events(&["default"], vec![], vec![]));
    let endpoints = vec![endpoint("10.244.0.5", Some("a"), true)];
    zone.apply(&Event::Apply(Object::EndpointSlice(slice(
        "default",
        "s",
        "one",
        endpoints.clone(),
    ))));
    zone.apply(&Event::Apply(Object::Service(service("default", "one", &[]))));
    zone.apply(&Event::Apply(Object::Service(service("default", "two", &[]))));
    assert_eq!(ask(&zone, "one.default.svc.cluster.local", Rtype::A).len(), 2);
    zone.apply(&Event::Apply(Object::EndpointSlice(slice("default", "s", "two", endpoints))));
    assert_eq!(ask(&zone, "one.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
    assert_eq!(
        ask(&zone, "5.0.244.10.in-addr.arpa", Rtype::PTR)[1],
        "5.0.244.10.in-addr.arpa PTR a.two.default.svc.cluster.local"
    );
    zone.apply(&Event::Delete(Kind::EndpointSlice, ObjectName::new("default", "s")));
    assert_eq!(ask(&zone, "two.default.svc.cluster.local", Rtype::A), none("NXDOMAIN"));
    assert_eq!(ask(&zone, "5.0.244.10.in-addr.arpa", Rtype::PTR), ["forward"]);
}
#[test]
fn endpoints_that_are_not_ready_count_where_the_service_says_so() {
    let mut s = service("default", "early", &[]);
    s.publish_not_ready_addresses = true;
    let slices = vec![slice("default", "e", "early", vec![endpoint("10.244.0.5", None, false)])];
    let zone = zone(&events(&["default"], vec![s], slices));
    assert_eq!(ask(&zone, "early.default.svc.cluster.local", Rtype::A).len(), 2);
}
