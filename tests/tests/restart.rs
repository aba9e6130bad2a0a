//! The agent dies, and comes back: the kernel keeps forwarding, and its state is the same after.

use std::time::Duration;

use fairlead_tests::objects::{endpoint_slice, service};
use fairlead_tests::{Entered, Family, Host, Lab, LabError, LabSpec, Pod, Shared, eventually};
use serde_json::{Value, json};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() })
});

const SERVICE: &str = "10.96.3.1:80";

fn serve(lab: &Entered<'_>, server: &Pod<'_>, client: &Pod<'_>) {
    let node = server.node().name();
    lab.apply(endpoint_slice("kept", &[(server.v4(), node)], &[("", "TCP", 8080)]));
    lab.apply(service("kept", &["10.96.3.1"], &[("", "TCP", 80)]));
    let works = || client.traffic(&format!("tcp-connects {SERVICE} 1 --timeout-ms 200"))["ok"] == 1;
    assert!(eventually(Duration::from_secs(5), works));
}

#[test]
fn nothing_breaks_while_agents_are_killed_and_return() {
    let Some(lab) = LAB.enter() else { return };
    let client = lab.node(1).add_pod("alive-client").unwrap();
    let server = lab.node(2).add_pod("alive-server").unwrap();
    let _serving = server.start("echo-server [::]:8080 server");
    let _outside = lab.outside().start("echo-server [::]:7070 outside");
    serve(&lab, &server, &client);
    let outside = lab.outside_addresses()[0];
    let held = [
        client.start(&format!("hold {SERVICE}")),
        client.start(&format!("hold {}:8080", server.v4())),
        client.start(&format!("hold {outside}:7070")),
        client.outside_cgroup().start(&format!("hold {SERVICE}")),
    ];
    let streams = [
        client.start(&format!("tcp-connects {SERVICE} 0")),
        client.start(&format!("tcp-connects [{}]:8080 0", server.v6())),
    ];
    for node in lab.nodes() {
        node.kill_agent();
    }
    let answer = client.traffic(&format!("tcp-connects {SERVICE} 300"));
    assert_eq!(answer["ok"], 300, "while no agent runs: {answer}");
    // Each start puts its own programs in the place of those that run.
    for node in lab.nodes().iter().chain(lab.nodes()) {
        node.restart_agent().unwrap();
    }
    let answer = client.traffic(&format!("tcp-connects {SERVICE} 300"));
    assert_eq!(answer["ok"], 300, "after their return: {answer}");
    for held in held {
        let answer = held.finish();
        assert!(answer["broke"].is_null() && answer["exchanges"].as_u64() > Some(10), "{answer}");
        assert!(answer["longest_ms"].as_u64() < Some(900), "{answer}");
    }
    for stream in streams {
        let answer = stream.finish();
        assert_eq!(answer["failed"], 0, "{answer}");
    }
}

#[test]
fn a_restart_gives_the_same_kernel_state_and_status() {
    let Some(lab) = LAB.enter() else { return };
    let client = lab.node(1).add_pod("same-client").unwrap();
    let server = lab.node(1).add_pod("same-server").unwrap();
    let _serving = server.start("echo-server [::]:8080 server");
    serve(&lab, &server, &client);
    let now = || (lab.node(1).kernel_state(), lasting(&lab.node(1).status()));
    let before = now();
    let (endpoints, frontends) = (&before.0["fl_endpoints"], &before.0["fl_frontends"]);
    assert!(!endpoints.is_empty() && !frontends.is_empty(), "{before:#?}");
    lab.node(1).restart_agent().unwrap();
    // Ready comes before the last Service is written again.
    let mut after = now();
    eventually(Duration::from_secs(3), || {
        after = now();
        after == before
    });
    assert_eq!(after, before);
}

/// What a status says apart from times and counts of traffic.
fn lasting(status: &Value) -> Value {
    let (pods, dns) = (&status["pods"]["count"], &status["dns"]["addresses"]);
    let (datapath, nodes, services) = (&status["datapath"], &status["nodes"], &status["services"]);
    json!([datapath, nodes, services, pods, dns, status["problems"]])
}

#[test]
fn a_pod_deleted_while_the_agent_is_down_is_cleaned_at_its_return() {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    let before = node.kernel_state();
    let pod = node.add_pod("forgotten").unwrap();
    let address = pod.v4().to_string();
    assert_ne!(node.kernel_state(), before);
    node.kill_agent();
    // The runtime may be told to try again; the object and the namespace are gone all the same.
    let deleted = pod.delete();
    assert!(matches!(deleted, Ok(()) | Err(LabError::Cni { code: 11, .. })), "{deleted:?}");
    node.restart_agent().unwrap();
    let clean = || node.kernel_state() == before;
    assert!(eventually(Duration::from_secs(5), clean), "{address}: {:#?}", node.kernel_state());
}

#[test]
fn a_pod_cannot_be_added_while_the_agent_is_down_and_the_runtime_is_told_to_try_again() {
    let Some(lab) = LAB.enter() else { return };
    lab.node(1).kill_agent();
    let added = lab.node(1).add_pod("early").map(drop);
    lab.node(1).restart_agent().unwrap();
    // CNI spec 1.1, section 5: 11 is "try again later".
    assert!(matches!(added, Err(LabError::Cni { code: 11, .. })), "{added:?}");
}

#[test]
fn the_agent_works_on_while_the_api_is_away() {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    let server = node.add_pod("api-server-gone").unwrap();
    let client = node.add_pod("api-client").unwrap();
    let _serving = server.start("echo-server [::]:8080 server");
    serve(&lab, &server, &client);
    node.lose_api();
    let late = node.add_pod("api-late").unwrap();
    let answer = late.traffic(&format!("tcp-connects {SERVICE} 20"));
    node.restart_agent().unwrap();
    assert_eq!(answer["ok"], 20, "{answer}");
}

#[test]
fn a_second_listing_changes_nothing() {
    let Some(lab) = LAB.enter() else { return };
    let client = lab.node(1).add_pod("list-client").unwrap();
    let server = lab.node(2).add_pod("list-server").unwrap();
    let _serving = server.start("echo-server [::]:8080 server");
    serve(&lab, &server, &client);
    let stream = client.start(&format!("tcp-connects {SERVICE} 0"));
    let before = lab.node(1).kernel_state();
    for _ in 0..20 {
        lab.relist();
    }
    let answer = client.traffic(&format!("tcp-connects {SERVICE} 300"));
    assert_eq!(answer["ok"], 300, "{answer}");
    assert_eq!(stream.finish()["failed"], 0);
    assert_eq!(lab.node(1).kernel_state(), before);
}
