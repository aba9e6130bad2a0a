//! The edge of the cluster: who may come in, and who may not go out.

mod checks;

use std::fs::File;
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use fairlead_tests::{
    Family, Host, Lab, LabSpec, Node, Shared, Underlay, agent_binary, eventually,
};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 1, family: Family::Dual, ..LabSpec::default() })
});

#[test]
fn the_outside_reaches_pods_by_a_route_and_gets_their_own_addresses_as_answer() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("visited").unwrap();
    for (cidr, via) in lab.node(1).pod_cidrs().iter().zip(lab.node(1).addresses()) {
        lab.outside().exec(&["ip", "route", "replace", cidr, "via", &via.to_string()]);
    }
    // The client's socket is connected: an answer from any other address would not reach it.
    checks::reaches(lab.outside(), &lab.outside_addresses(), &pod);
}

#[test]
fn a_source_address_that_is_not_the_pods_is_dropped_and_counted() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("liar").unwrap();
    let other = lab.node(1).add_pod("victim").unwrap();
    let _serving = other.start("echo-server [::]:8080 server");
    let before = dropped(lab.node(1), "source address");
    for (false_source, target) in [("10.99.99.99", other.v4()), ("fd99::99", other.v6())] {
        let prefix = if target.is_ipv4() { 32 } else { 128 };
        let address = format!("{false_source}/{prefix}");
        let added = pod.exec(&["ip", "addr", "add", &address, "dev", "eth0", "nodad"]);
        assert!(added.ok() || pod.exec(&["ip", "addr", "add", &address, "dev", "eth0"]).ok());
        let target = checks::port(target);
        let tool = format!("udp-connected {target} 2 --timeout-ms 50 --bind {false_source}");
        let answer = pod.traffic(&tool);
        assert_eq!(answer["ok"], 0, "{answer}");
    }
    let counted = || dropped(lab.node(1), "source address") >= before + 4;
    assert!(eventually(Duration::from_secs(5), counted), "{}", lab.node(1).status());
}

#[test]
fn a_firewall_that_drops_forwarded_packets_does_not_concern_pods() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("behind-a-firewall").unwrap();
    let _serving = lab.outside().start("echo-server [::]:7171 outside");
    // what Docker's FORWARD policy comes to
    let rule =
        "table inet other { chain forward { type filter hook forward priority 0; policy drop; }; }";
    let made = lab.node(1).exec(&["nft", rule]);
    assert!(made.ok(), "nft (package nftables) is needed: {made:?}");
    for address in lab.outside_addresses() {
        let target = std::net::SocketAddr::new(address, 7171);
        let answer = pod.traffic(&format!("tcp-connects {target} 3"));
        assert_eq!(answer["ok"], 3, "{answer}");
    }
    assert!(lab.node(1).exec(&["nft", "delete table inet other"]).ok());
}

#[test]
fn a_drop_is_observed_with_its_pod_and_its_reason() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("observed").unwrap();
    assert!(pod.exec(&["ip", "addr", "add", "10.99.99.98/32", "dev", "eth0"]).ok());
    let path = lab.folder().join("observed");
    let mut command = lab.node(1).place().command(agent_binary().unwrap());
    command.args(["observe", "--run-dir", "/run/fairlead"]).stdin(Stdio::null());
    let mut observer = command.stdout(File::create(&path).unwrap()).spawn().unwrap();
    let told = || {
        pod.traffic("udp-connected 10.244.1.250:1 1 --bind 10.99.99.98 --timeout-ms 20");
        let text = std::fs::read_to_string(&path).unwrap();
        text.contains("observed") && text.contains("source address")
    };
    let seen = eventually(Duration::from_secs(5), told);
    observer.kill().unwrap();
    observer.wait().unwrap();
    assert!(seen, "{}", std::fs::read_to_string(&path).unwrap());
}

#[test]
fn a_smaller_link_beyond_the_router_is_learnt_through_the_masquerade() {
    let Some(_turn) = LAB.enter() else { return };
    let underlay = Underlay::Routed;
    let lab = Lab::with_agents(LabSpec { underlay, ..LabSpec::default() }).unwrap();
    lab.set_link_mtu("outside", 1400).unwrap();
    let pod = lab.node(1).add_pod("learner").unwrap();
    let _serving = lab.outside().start("echo-server [::]:7070 outside");
    let IpAddr::V4(outside) = lab.outside_addresses()[0] else { panic!("IPv4 comes first") };
    // The first datagram is answered by the router, to the node's address.
    let answer = pod.traffic(&format!("udp-sizes {outside}:7070 1472 1473 4000 --timeout-ms 500"));
    assert_eq!(answer["ok"], 3, "{answer}\n{}", lab.logs());
}

/// Packets dropped for reasons whose text begins so.
fn dropped(node: &Node, reason: &str) -> u64 {
    let status = node.status();
    let drops = status["drops"].as_array().expect("status lists drops");
    let named = |drop: &&serde_json::Value| {
        drop["reason"].as_str().is_some_and(|text| text.starts_with(reason))
    };
    drops.iter().filter(named).filter_map(|drop| drop["packets"].as_u64()).sum()
}
