//! What holds in every topology and family: each file of a topology runs these.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each topology runs the checks that apply to it")]

use std::net::{IpAddr, SocketAddr};

use fairlead_tests::{Host, Lab, Pod};
use serde_json::Value;

/// Datagrams from one byte over the edges of one frame to nearly the largest there is.
pub const SIZES: &str =
    "1 2 100 1300 1400 1450 1451 1472 1473 1500 2800 4000 9000 16000 32000 65000";

pub fn port(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 8080)
}

/// Each address of `server` from `client`: connects, datagrams, both with un-translated sources.
pub fn reaches(client: &impl Host, sources: &[IpAddr], server: &Pod<'_>) {
    let _serving = server.start("echo-server [::]:8080 server");
    for address in server.addresses() {
        let target = port(address);
        for tool in ["tcp-connects", "udp-connected", "udp-unconnected"] {
            let answer = client.traffic(&format!("{tool} {target} 3"));
            assert_eq!(answer["ok"], 3, "{tool} {target}: {answer}");
            assert_source(&answer, sources, address);
        }
        let answer = client.traffic(&format!("ping {address} 2"));
        assert_eq!(answer["ok"], 2, "ping {address}: {answer}");
    }
}

/// The server saw the source of its own family, and no other.
pub fn assert_source(answer: &Value, sources: &[IpAddr], to: IpAddr) {
    let source = sources.iter().find(|s| s.is_ipv4() == to.is_ipv4()).expect("one of each family");
    let seen: Vec<_> =
        answer["sources"].as_object().into_iter().flatten().map(|(s, _)| s).collect();
    assert_eq!(seen, [&source.to_string()], "{answer}");
}

/// Streams and datagrams of every size arrive whole.
pub fn carries_everything(client: &Pod<'_>, server: &Pod<'_>) {
    let _serving = server.start("echo-server [::]:8080 server");
    for address in server.addresses() {
        let target = port(address);
        let answer = client.traffic(&format!("tcp-stream {target} 20000000"));
        assert_eq!(answer["bytes"], 20_000_000, "{target}: {answer}");
        let answer = client.traffic(&format!("udp-sizes {target} {SIZES}"));
        assert_eq!(answer["failed"], serde_json::json!({}), "{target}: {answer}");
    }
}

pub fn pods_of_one_node(lab: &Lab) {
    let node = lab.node(1);
    let (client, server) = (node.add_pod("near-a").unwrap(), node.add_pod("near-b").unwrap());
    reaches(&client, &client.addresses(), &server);
    carries_everything(&client, &server);
}

pub fn pods_of_two_nodes(lab: &Lab) {
    let client = lab.node(1).add_pod("far-a").unwrap();
    let server = lab.node(2).add_pod("far-b").unwrap();
    reaches(&client, &client.addresses(), &server);
    reaches(&server, &server.addresses(), &client);
    carries_everything(&client, &server);
}

/// A node reaches its own pods, and is reached by pods of both nodes.
pub fn nodes_and_pods(lab: &Lab) {
    let near = lab.node(1).add_pod("host-a").unwrap();
    let far = lab.node(2).add_pod("host-b").unwrap();
    reaches(lab.node(1), &lab.node(1).addresses(), &near);
    let _serving = lab.node(1).start("echo-server [::]:9090 node");
    for pod in [&near, &far] {
        for address in lab.node(1).addresses() {
            let answer = pod.traffic(&format!("tcp-connects {} 3", SocketAddr::new(address, 9090)));
            assert_eq!(answer["ok"], 3, "{}: {answer}", pod.name());
            assert_source(&answer, &pod.addresses(), address);
            let answer = pod.traffic(&format!("ping {address} 1"));
            assert_eq!(answer["ok"], 1, "{}: {answer}", pod.name());
        }
    }
}

/// A node reaches pods of the other; whose address it shows depends on the way.
pub fn node_to_far_pod(lab: &Lab) {
    let far = lab.node(2).add_pod("host-c").unwrap();
    let _serving = far.start("echo-server [::]:8080 server");
    for address in far.addresses() {
        let answer = lab.node(1).traffic(&format!("tcp-connects {} 3", port(address)));
        assert_eq!(answer["ok"], 3, "{address}: {answer}");
        let answer = lab.node(1).traffic(&format!("ping {address} 1"));
        assert_eq!(answer["ok"], 1, "{address}: {answer}");
    }
}

/// The outside sees the node's address, for TCP, datagrams and pings.
pub fn masquerade(lab: &Lab) {
    let pod = lab.node(1).add_pod("leaving").unwrap();
    let _serving = lab.outside().start("echo-server [::]:7070 outside");
    for address in lab.outside_addresses() {
        let target = SocketAddr::new(address, 7070);
        for tool in ["tcp-connects", "udp-connected", "udp-unconnected"] {
            let answer = pod.traffic(&format!("{tool} {target} 3"));
            assert_eq!(answer["ok"], 3, "{tool} {target}: {answer}");
            assert_source(&answer, &lab.node(1).addresses(), address);
        }
        let answer = pod.traffic(&format!("ping {address} 2"));
        assert_eq!(answer["ok"], 2, "{answer}");
        let answer = pod.traffic(&format!("tcp-stream {target} 5000000"));
        assert_eq!(answer["bytes"], 5_000_000, "{answer}");
        let answer = pod.traffic(&format!("udp-sizes {target} {SIZES}"));
        assert_eq!(answer["failed"], serde_json::json!({}), "{answer}");
    }
}
