//! Services by sockets: a backend is chosen at connect, or by message.

use std::net::IpAddr;
use std::time::Duration;

use fairlead_tests::objects::{endpoint_slice, endpoint_slice_of, service};
use fairlead_tests::{Entered, Family, Host, Lab, LabSpec, Pod, Shared, eventually};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() })
});

const PORTS: [(&str, &str, u16); 2] = [("http", "TCP", 80), ("dgram", "UDP", 81)];
const TARGETS: [(&str, &str, u16); 2] = [("http", "TCP", 8080), ("dgram", "UDP", 8080)];

/// Gives Service `name` these endpoints, in both families.
fn endpoints(lab: &Lab, name: &str, pods: &[&Pod<'_>]) {
    for v6 in [false, true] {
        let of_family = |pod: &Pod<'_>| if v6 { pod.v6() } else { pod.v4() };
        let list: Vec<(IpAddr, &str)> =
            pods.iter().map(|pod| (of_family(pod), pod.node().name())).collect();
        lab.apply(endpoint_slice_of("default", name, v6, &list, &TARGETS));
    }
}

/// Service `name` at 10.96.1.`host` and fd96::1:`host`, with these endpoints, known to the node.
fn serve(lab: &Entered<'_>, name: &str, host: u8, pods: &[&Pod<'_>]) -> [String; 2] {
    let (v4, v6) = (format!("10.96.1.{host}"), format!("fd96::1:{host}"));
    endpoints(lab, name, pods);
    lab.apply(service(name, &[&v4, &v6], &PORTS));
    let probe = |ip: &str| lab.node(1).traffic(&format!("tcp-connects {ip}:80 1 --timeout-ms 200"));
    let known = |answer: serde_json::Value| match pods.is_empty() {
        true => answer["errors"]["ConnectionRefused"] == 1,
        false => answer["ok"] == 1,
    };
    let hosts = [v4, format!("[{v6}]")];
    for ip in &hosts {
        assert!(eventually(Duration::from_secs(5), || known(probe(ip))), "{ip} is not served");
    }
    hosts
}

#[test]
fn a_service_is_reached_by_pods_and_nodes_and_names_itself_as_the_peer() {
    let Some(lab) = LAB.enter() else { return };
    let near = lab.node(1).add_pod("web-near").unwrap();
    let far = lab.node(2).add_pod("web-far").unwrap();
    let client = lab.node(1).add_pod("web-client").unwrap();
    let _near = near.start("echo-server [::]:8080 near");
    let _far = far.start("echo-server [::]:8080 far");
    let hosts = serve(&lab, "web", 1, &[&near, &far]);
    for host in hosts {
        for (tool, port) in [("tcp-connects", 80), ("udp-connected", 81), ("udp-unconnected", 81)] {
            let target = format!("{host}:{port}");
            for answer in [
                client.traffic(&format!("{tool} {target} 40")),
                lab.node(1).traffic(&format!("{tool} {target} 40")),
                lab.node(2).traffic(&format!("{tool} {target} 40")),
            ] {
                assert_eq!(answer["ok"], 40, "{tool} {target}: {answer}");
                assert_eq!(answer["peers"][&target], 40, "{tool} {target}: {answer}");
            }
        }
        // 2^-39 is the chance of one backend for all, where each is as likely.
        let answer = client.traffic(&format!("tcp-connects {host}:80 40"));
        assert_eq!(answer["servers"].as_object().map_or(0, |s| s.len()), 2, "{answer}");
    }
}

#[test]
fn endpoints_change_under_a_stream_of_connects_without_a_failure() {
    let Some(lab) = LAB.enter() else { return };
    let a = lab.node(1).add_pod("roll-a").unwrap();
    let b = lab.node(2).add_pod("roll-b").unwrap();
    let client = lab.node(1).add_pod("roll-client").unwrap();
    let _a = a.start("echo-server [::]:8080 a");
    let _b = b.start("echo-server [::]:8080 b");
    let [host, _] = serve(&lab, "roll", 2, &[&a]);
    let stream = client.start(&format!("tcp-connects {host}:80 0"));
    let datagrams = client.start(&format!("udp-unconnected {host}:81 0"));
    let only = |name: &str| {
        let answer = client.traffic(&format!("tcp-connects {host}:80 5"));
        answer["servers"][name] == 5
    };
    for _ in 0..20 {
        endpoints(&lab, "roll", &[&a, &b]);
        endpoints(&lab, "roll", &[&b]);
        assert!(eventually(Duration::from_secs(5), || only("b")), "a is still chosen");
        endpoints(&lab, "roll", &[&b, &a]);
        endpoints(&lab, "roll", &[&a]);
        assert!(eventually(Duration::from_secs(5), || only("a")), "b is still chosen");
    }
    for answer in [stream.finish(), datagrams.finish()] {
        assert_eq!(answer["failed"], 0, "{answer}");
        assert!(answer["servers"]["a"].is_u64() && answer["servers"]["b"].is_u64(), "{answer}");
    }
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    let Some(lab) = LAB.enter() else { return };
    let client = lab.node(1).add_pod("lonely").unwrap();
    for host in serve(&lab, "empty", 3, &[]) {
        let answer = client.traffic(&format!("tcp-connects {host}:80 3"));
        assert_eq!(answer["errors"]["ConnectionRefused"], 3, "{answer}");
        assert!(answer["slowest_ms"].as_u64() < Some(200), "{answer}");
    }
}

#[test]
fn a_pod_that_is_its_own_backend_reaches_itself_through_the_service() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("hairpin").unwrap();
    let _serving = pod.start("echo-server [::]:8080 self");
    for host in serve(&lab, "hairpin", 4, &[&pod]) {
        for (tool, port) in [("tcp-connects", 80), ("udp-unconnected", 81)] {
            let line = format!("{tool} {host}:{port} 3");
            let answer = pod.traffic(&line);
            assert_eq!(answer["ok"], 3, "by the socket: {line}: {answer}");
            let answer = pod.outside_cgroup().traffic(&line);
            assert_eq!(answer["ok"], 3, "by packets: {line}: {answer}");
        }
    }
}

#[test]
fn packets_reach_services_where_sockets_are_not_seen() {
    let Some(lab) = LAB.enter() else { return };
    let near = lab.node(1).add_pod("raw-near").unwrap();
    let far = lab.node(2).add_pod("raw-far").unwrap();
    let client = lab.node(1).add_pod("raw-client").unwrap();
    let _near = near.start("echo-server [::]:8080 near");
    let _far = far.start("echo-server [::]:8080 far");
    for host in serve(&lab, "raw", 5, &[&near, &far]) {
        let unseen = client.outside_cgroup();
        for (tool, port) in [("tcp-connects", 80), ("udp-connected", 81), ("udp-unconnected", 81)] {
            let target = format!("{host}:{port}");
            let answer = unseen.traffic(&format!("{tool} {target} 30"));
            assert_eq!(answer["ok"], 30, "{tool} {target}: {answer}");
            assert_eq!(answer["peers"][&target], 30, "{tool} {target}: {answer}");
        }
        let answer = unseen.traffic(&format!("tcp-connects {host}:80 30"));
        assert_eq!(answer["servers"].as_object().map_or(0, |s| s.len()), 2, "{answer}");
        let answer = unseen.traffic(&format!("tcp-stream {host}:80 5000000"));
        assert_eq!(answer["bytes"], 5_000_000, "{answer}");
        let answer = unseen.traffic(&format!("udp-sizes {host}:81 1 1400 1473 9000 65000"));
        assert_eq!(answer["ok"], 5, "{answer}");
    }
}

#[test]
fn a_deleted_service_is_no_longer_served() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("gone").unwrap();
    let _serving = pod.start("echo-server [::]:8080 gone");
    let object = service("gone", &["10.96.1.6"], &PORTS);
    lab.apply(endpoint_slice("gone", &[(pod.v4(), "n1")], &TARGETS));
    lab.apply(object.clone());
    let ok = || pod.traffic("tcp-connects 10.96.1.6:80 1 --timeout-ms 100")["ok"] == 1;
    assert!(eventually(Duration::from_secs(5), ok));
    lab.delete(&object);
    assert!(eventually(Duration::from_secs(5), || !ok()));
}

#[test]
fn a_pod_whose_flows_were_translated_as_packets_still_reaches_the_outside() {
    let Some(lab) = LAB.enter() else { return };
    let server = lab.node(2).add_pod("mixed-server").unwrap();
    let client = lab.node(1).add_pod("mixed-client").unwrap();
    let _serving = server.start("echo-server [::]:8080 server");
    let _outside = lab.outside().start("echo-server [::]:7070 outside");
    let [host, _] = serve(&lab, "mixed", 7, &[&server]);
    let outside = std::net::SocketAddr::new(lab.outside_addresses()[0], 7070);
    let held = client.start(&format!("hold {outside}"));
    let answer = client.outside_cgroup().traffic(&format!("tcp-connects {host}:80 3"));
    assert_eq!(answer["ok"], 3, "{answer}");
    for tool in ["tcp-connects", "udp-connected"] {
        let answer = client.traffic(&format!("{tool} {outside} 3"));
        assert_eq!(answer["ok"], 3, "{tool}: {answer}");
    }
    let answer = held.finish();
    assert!(answer["broke"].is_null(), "{answer}");
}
