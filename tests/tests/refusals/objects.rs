//! Objects that no agent can make sense of, or only in part.

use std::net::IpAddr;
use std::time::Duration;

use fairlead_tests::{Host, Lab, Node, eventually, objects};
use serde_json::{Value, json};

use crate::{enter, readable, sentences};

const SOON: Duration = Duration::from_secs(10);

/// Waits until status and log have a sentence with all of these words.
#[track_caller]
fn told(what: &str, node: &Node, words: &[&str]) {
    let find = || {
        let all = sentences(node);
        all.into_iter().find(|s| words.iter().all(|w| s.contains(w)))
    };
    let mut found = None;
    eventually(SOON, || {
        found = find();
        found.is_some()
    });
    let Some(found) = found else {
        panic!("{what}: {words:?} is not said: {:#?}", sentences(node))
    };
    eprintln!("{what}: {found}");
    readable(what, &found);
}

fn agents(lab: &Lab) {
    for node in lab.nodes() {
        node.start_agent().unwrap();
    }
}

fn ready(lab: &Lab) {
    agents(lab);
    for node in lab.nodes() {
        node.wait_ready(SOON * 2).unwrap();
    }
}

fn exit_code(node: &Node) -> i32 {
    node.fairlead(&["status"]).unwrap().code
}

/// The node's object with other pod CIDRs.
fn with_cidrs(node: &Node, cidrs: &[&str]) -> Value {
    let cidrs: Vec<_> = cidrs.iter().map(|c| (*c).to_owned()).collect();
    objects::node(node.name(), &node.addresses(), &cidrs)
}

#[test]
fn a_node_that_gets_no_pods_says_why() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    lab.delete(&node.object());
    agents(&lab);
    told("unknown", node, &["no node 'n1'", "kubectl get nodes"]);
    assert_eq!(exit_code(node), 2);
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["node n1 has no pod CIDR"]),
        (&["10.244.1.0/32"], &["10.244.1.0/32", "cannot be used", "/30 at the longest"]),
        (&["10.244.1.5/24"], &["10.244.1.5/24", "10.244.1.0/24 has not"]),
        (&["10.244.1.0/24", "10.244.1.128/25"], &["10.244.1.128/25", "overlaps 10.244.1.0/24"]),
        (&["127.0.0.0/24"], &["127.0.0.0/24", "loopback"]),
        (&["nonsense"], &["node n1 has no pod CIDR"]),
    ];
    for (cidrs, words) in cases {
        lab.apply(with_cidrs(node, cidrs));
        told(&format!("{cidrs:?}"), node, words);
        assert_eq!(exit_code(node), 2, "{cidrs:?}");
    }
    assert!(!node.path("/etc/cni/net.d/05-fairlead.conflist").exists());
    lab.apply(node.object());
    node.wait_ready(SOON).unwrap();
    assert_eq!(exit_code(node), 0, "{:?}", node.fairlead(&["status"]));
}

#[test]
fn a_pod_range_that_the_host_uses_is_told_and_the_rest_works() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let ip = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        assert!(node.exec(&words).ok(), "{words:?}");
    };
    ip("ip route add unreachable 10.244.1.64/26");
    ip("ip addr add 10.244.1.200/32 dev lo");
    ready(&lab);
    told("route", node, &["pod CIDR 10.244.1.0/24 overlaps", "10.244.1.64/26"]);
    told("address", node, &["pod CIDR 10.244.1.0/24 overlaps", "10.244.1.200"]);
    assert!(node.log_text().contains("overlaps"), "it is in the log too");
    works(&lab);
    ip("ip route del unreachable 10.244.1.64/26");
    ip("ip addr del 10.244.1.200/32 dev lo");
    assert!(eventually(SOON, || exit_code(node) == 0), "{:?}", sentences(node));
}

#[test]
fn two_nodes_with_one_range_are_told_and_others_are_reached() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    ready(&lab);
    let address: IpAddr = "172.30.0.77".parse().unwrap();
    let twin = objects::node("twin", &[address], &node.pod_cidrs());
    lab.apply(twin.clone());
    told("twin", node, &["node twin", "pod CIDR", "that of node n1 too"]);
    works(&lab);
    lab.delete(&twin);
    assert!(eventually(SOON, || exit_code(node) == 0), "{:?}", sentences(node));
}

#[test]
fn devices_of_the_configuration_that_are_not_there_are_told() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let mut config = node.config().unwrap();
    config["devices"] = json!(["eth0", "nope0"]);
    node.start_agent_with(&config).unwrap();
    node.wait_ready(SOON).unwrap();
    told("device", node, &["nope0", "not there"]);
}

#[test]
fn services_and_endpoints_of_nonsense_change_nothing_for_others() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    ready(&lab);
    let addresses =
        ["10.244.1.9", "0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "::", "fe80::1"];
    let own = node.addresses()[0].to_string();
    let mut made = Vec::new();
    for (i, address) in addresses.into_iter().chain([own.as_str()]).enumerate() {
        let name = format!("odd-{i}");
        made.push(objects::service(&name, &[address], &[("", "TCP", 7000)]));
        let endpoints: Vec<(IpAddr, &str)> =
            ["127.0.0.1", "169.254.1.1", "0.0.0.0", "10.244.1.1", "255.255.255.255"]
                .map(|ip| (ip.parse().unwrap(), "n1"))
                .into();
        made.push(objects::endpoint_slice(&name, &endpoints, &[("", "TCP", 7000)]));
    }
    let names: Vec<_> = (0..1000).map(|i| format!("p{i}")).collect();
    let ports: Vec<_> = (0..1000).map(|i| (names[i].as_str(), "TCP", 1000 + i as u16)).collect();
    made.push(objects::service("many", &["10.96.9.9"], &ports));
    let alone: IpAddr = "10.244.2.9".parse().unwrap();
    made.push(objects::endpoint_slice("alone", &[(alone, "n2")], &[("", "TCP", 1)]));
    made.push(json!({"kind": "Secret", "metadata": {"name": "x"}}));
    made.push(json!({"kind": "Service", "metadata": {"name": 5}}));
    made.push(json!({"kind": "Service", "metadata": {"name": "empty", "namespace": "x"}}));
    for object in &made {
        lab.apply(object.clone());
    }
    works(&lab);
    let _server = node.start("tcp-echo-server [::]:7000 host");
    for target in ["127.0.0.1", &own] {
        let answer = node.traffic(&format!("tcp-connects {target}:7000 1"));
        eprintln!("a Service with the address {target}: {answer}");
        assert_eq!(answer["servers"]["host"], 1, "a Service took {target} away: {answer}");
    }
    let taken = format!("cluster IP {own} is the address of node n1");
    for words in [
        "cluster IP 127.0.0.1 is a loopback address and is not served",
        "cluster IP 0.0.0.0 is the unspecified address",
        "cluster IP fe80::1 is a link-local address",
        "cluster IP 10.244.1.9 is in pod CIDR 10.244.1.0/24",
        &taken,
    ] {
        told("Service", node, &[words, "--service-cluster-ip-range"]);
    }
    assert_eq!(node.log_text().matches("a line of objects was skipped").count(), 2);
    for object in &made {
        lab.delete(object);
    }
    assert!(eventually(SOON, || exit_code(node) == 0), "{:?}", sentences(node));
}

/// Pods of both nodes reach each other, and one by a Service.
#[track_caller]
fn works(lab: &Lab) {
    let server = lab.node(1).add_pod("server").unwrap();
    let client = lab.node(2).add_pod("client").unwrap();
    let _echo = server.start("echo-server [::]:8080 me");
    let ports = [("", "TCP", 80)];
    let service = objects::service("fine", &["10.96.0.50"], &ports);
    let slice = objects::endpoint_slice("fine", &[(server.v4(), "n1")], &[("", "TCP", 8080)]);
    lab.apply(service.clone());
    lab.apply(slice.clone());
    let reached = eventually(SOON, || {
        client.traffic("tcp-connects 10.96.0.50:80 1 --timeout-ms 500")["ok"] == 1
    });
    let ping = client.traffic(&format!("ping {} 1", server.v4()));
    lab.delete(&service);
    lab.delete(&slice);
    assert!(reached && ping["ok"] == 1, "{ping}");
}
