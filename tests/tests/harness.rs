//! The harness itself, with the kernel's routing in the agent's place.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fairlead_tests::{
    Family, Host, Lab, LabError, LabSpec, PlainPod, PlainRouting, Shared, Underlay, eventually,
};

static LAB: Shared = Shared::new(make);

fn make() -> Result<Lab, LabError> {
    let lab = Lab::new(LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() })?;
    PlainRouting::direct(lab.nodes())?;
    Ok(lab)
}

#[test]
fn nodes_reach_each_other_and_the_outside_in_both_families() {
    let Some(lab) = LAB.enter_without_agent() else { return };
    for address in lab.node(2).addresses().into_iter().chain(lab.outside_addresses()) {
        let answer = lab.node(1).traffic(&format!("ping {address} 1"));
        assert_eq!(answer["ok"], 1, "{address}: {answer}");
    }
}

#[test]
fn every_traffic_tool_tells_success() {
    let Some(lab) = LAB.enter_without_agent() else { return };
    let client = PlainPod::add(lab.node(1), 2, 1500).unwrap();
    let server = PlainPod::add(lab.node(2), 2, 1500).unwrap();
    let _server = server.start("echo-server [::]:8080 me");
    for address in [server.v4(), server.v6()] {
        let target = std::net::SocketAddr::new(address, 8080);
        let sees = if address.is_ipv4() { client.v4() } else { client.v6() };
        for tool in ["tcp-connects", "udp-connected", "udp-unconnected"] {
            let answer = client.traffic(&format!("{tool} {target} 3"));
            assert_eq!(answer["ok"], 3, "{tool}: {answer}");
            assert_eq!(answer["servers"]["me"], 3, "{tool}: {answer}");
            assert_eq!(answer["sources"][sees.to_string()], 3, "{tool}: {answer}");
            assert_eq!(answer["peers"][target.to_string()], 3, "{tool}: {answer}");
        }
        let answer = client.traffic(&format!("tcp-stream {target} 3000000"));
        assert_eq!(answer["bytes"], 3_000_000, "{answer}");
        let answer = client.traffic(&format!("udp-sizes {target} 1 1472 1473 9000 65000"));
        assert_eq!((&answer["ok"], &answer["retried"]), (&5.into(), &0.into()), "{answer}");
        let answer = client.traffic(&format!("ping {address} 2 3000"));
        assert_eq!(answer["ok"], 2, "{answer}");
    }
}

#[test]
fn every_traffic_tool_tells_failure() {
    let Some(lab) = LAB.enter_without_agent() else { return };
    let client = PlainPod::add(lab.node(1), 3, 1500).unwrap();
    let server = PlainPod::add(lab.node(2), 3, 1500).unwrap();
    let target = std::net::SocketAddr::new(server.v4(), 8080);
    let answer = client.traffic(&format!("tcp-connects {target} 2"));
    assert_eq!(answer["errors"]["ConnectionRefused"], 2, "{answer}");
    let answer = client.traffic(&format!("udp-connected {target} 1"));
    assert_eq!(answer["errors"]["ConnectionRefused"], 1, "{answer}");
    let answer = client.traffic(&format!("tcp-stream {target} 10"));
    assert!(answer["error"].is_string(), "{answer}");
    let answer = client.traffic(&format!("udp-sizes {target} 10 --timeout-ms 50"));
    assert!(answer["failed"]["10"].is_string(), "{answer}");
    let answer = client.traffic("ping 10.244.2.77 1 --timeout-ms 50");
    assert_eq!(answer["failed"], 1, "{answer}");
}

#[test]
fn a_held_connection_that_breaks_is_told() {
    let Some(lab) = LAB.enter_without_agent() else { return };
    let client = PlainPod::add(lab.node(1), 4, 1500).unwrap();
    let server = PlainPod::add(lab.node(2), 4, 1500).unwrap();
    let serving = server.start("tcp-echo-server [::]:8080 me");
    let target = std::net::SocketAddr::new(server.v4(), 8080);
    let whole = client.start(&format!("hold {target}"));
    let answer = whole.finish();
    assert!(answer["broke"].is_null() && answer["server"] == "me", "{answer}");
    let broken = client.start(&format!("hold {target} --timeout-ms 1000"));
    drop(serving);
    let answer = broken.result();
    assert!(answer["broke"].is_string(), "{answer}");
}

#[test]
fn a_node_has_mounts_and_a_cgroup_of_its_own() {
    let Some(lab) = LAB.enter_without_agent() else { return };
    let (one, two) = (lab.node(1), lab.node(2));
    assert!(one.exec(&["sh", "-c", "echo x > /etc/cni/net.d/here; mkdir /sys/fs/bpf/here"]).ok());
    assert!(one.path("/etc/cni/net.d/here").exists());
    assert!(!two.path("/etc/cni/net.d/here").exists());
    assert!(!two.path("/sys/fs/bpf/here").exists());
    assert_eq!(one.exec(&["ls", "/sys/class/net/eth0/address"]).code, 0);
    assert!(one.exec(&["test", "-e", &one.cgroup().join("cgroup.procs").to_string_lossy()]).ok());
    let inside = one.exec(&["cat", "/proc/self/cgroup"]).stdout;
    let line = inside.lines().find(|line| line.starts_with("0::")).unwrap_or_default();
    assert!(line.ends_with("/n1"), "{inside}");
}

#[test]
fn routed_nodes_reach_each_other_but_not_each_others_pods() {
    let Some(_turn) = LAB.enter_without_agent() else { return };
    let underlay = Underlay::Routed;
    let lab =
        Lab::new(LabSpec { nodes: 2, underlay, uplink_mtu: 1400, ..LabSpec::default() }).unwrap();
    let answer = lab.node(1).traffic("ping 172.31.2.1 1");
    assert_eq!(answer["ok"], 1, "{answer}");
    PlainRouting::vxlan(lab.nodes()).unwrap();
    let client = PlainPod::add(lab.node(1), 2, 1350).unwrap();
    let server = PlainPod::add(lab.node(2), 2, 1350).unwrap();
    let answer = client.traffic(&format!("ping {} 1", server.v4()));
    assert_eq!(answer["ok"], 1, "the kernel's tunnel: {answer}");
    assert!(lab.node(1).exec(&["ip", "link", "del", "plain0"]).ok());
    let answer = client.traffic(&format!("ping {} 1 --timeout-ms 100", server.v4()));
    assert_eq!(answer["ok"], 0, "{answer}");
}

#[test]
fn a_lab_that_ends_leaves_no_process_directory_or_log() {
    let Some(_turn) = LAB.enter_without_agent() else { return };
    let lab = Lab::new(LabSpec::default()).unwrap();
    let pod = PlainPod::add(lab.node(1), 2, 1500).unwrap();
    let server = pod.start("echo-server [::]:8080 me");
    let (cgroup, folder) = (lab.node(1).cgroup().to_owned(), lab.folder().to_owned());
    assert!(cgroup.exists() && folder.exists());
    drop(lab);
    assert!(!cgroup.exists() && !folder.exists());
    assert!(server.result().is_null(), "the server was killed");
}

#[test]
fn a_killed_run_is_cleaned_up_after() {
    let Some(_turn) = LAB.enter_without_agent() else { return };
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
    let cgroup =
        lines.find_map(|line| line.split_once("cgroup: ").map(|(_, path)| path.to_owned()));
    let cgroup = PathBuf::from(cgroup.expect("the victim says where its lab is"));
    assert!(cgroup.exists());
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(eventually(Duration::from_secs(10), || !cgroup.exists()), "{}", cgroup.display());
}

#[test]
#[ignore = "is started and killed by another test"]
fn victim() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    // It reads nothing, so that no end of a pipe ends it.
    let mut stubborn = lab.node(1).place().command("sleep").arg("1000").spawn().unwrap();
    println!("cgroup: {}", lab.node(1).cgroup().display());
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    stubborn.kill().unwrap();
    stubborn.wait().unwrap();
}
