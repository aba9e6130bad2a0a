//! The plugin as a runtime calls it (CNI spec 1.1).

use std::time::Duration;

use fairlead_tests::{Attachment, Host, Lab, LabError, LabSpec, Shared, eventually};

static LAB: Shared = Shared::new(|| Lab::with_agents(LabSpec::default()));

fn code<T: std::fmt::Debug>(outcome: Result<T, LabError>) -> i64 {
    match outcome {
        Err(LabError::Cni { code, .. }) => code,
        other => panic!("no CNI error: {other:?}"),
    }
}

#[test]
fn check_passes_and_tells_when_the_link_is_gone() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("checked").unwrap();
    let cni = lab.node(1).cni().unwrap();
    cni.check(pod.attachment(), pod.result()).unwrap();
    assert!(pod.exec(&["ip", "link", "del", "eth0"]).ok());
    assert!(cni.check(pod.attachment(), pod.result()).is_err());
}

#[test]
fn del_is_idempotent_and_needs_no_namespace() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("deleted").unwrap();
    let cni = lab.node(1).cni().unwrap();
    let gone = Attachment { netns: String::new(), ..pod.attachment().clone() };
    cni.del(&gone, pod.result()).unwrap();
    cni.del(&gone, pod.result()).unwrap();
    let unknown = Attachment { container: "f".repeat(64), ..gone };
    cni.del(&unknown, &serde_json::Value::Null).unwrap();
}

#[test]
fn gc_removes_what_the_runtime_does_not_know() {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    let before = node.kernel_state();
    let pod = node.add_pod("garbage").unwrap();
    let cni = node.cni().unwrap().in_version("1.1.0");
    cni.gc(&[(&pod.attachment().container, "eth0")]).unwrap();
    assert_ne!(node.kernel_state(), before, "a valid attachment was collected");
    cni.gc(&[]).unwrap();
    assert!(eventually(Duration::from_secs(5), || node.kernel_state() == before));
}

#[test]
fn pods_come_and_go_at_the_same_time_and_status_answers_meanwhile() {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    let before = node.kernel_state();
    std::thread::scope(|scope| {
        let lives: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn(move || {
                    for round in 0..4 {
                        let pod = node.add_pod(&format!("busy-{number}-{round}")).unwrap();
                        let cni = node.cni().unwrap();
                        cni.check(pod.attachment(), pod.result()).unwrap();
                        pod.delete().unwrap();
                    }
                })
            })
            .collect();
        while lives.iter().any(|life| !life.is_finished()) {
            let status = node.status();
            // Pods that come or go are neither problems nor links that nobody knows.
            assert_eq!(status["problems"].as_array().map(Vec::len), Some(0), "{status:#}");
        }
    });
    assert!(eventually(Duration::from_secs(5), || node.kernel_state() == before));
}

#[test]
fn requests_for_one_pod_take_turns_whatever_order_they_end_in() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("turns").unwrap();
    let cni = lab.node(1).cni().unwrap();
    for _ in 0..5 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| cni.del(pod.attachment(), pod.result()).unwrap());
                scope.spawn(|| cni.add(pod.attachment()).unwrap());
            }
        });
        // Whichever was last: one more makes it whole.
        let result = cni.add(pod.attachment()).unwrap();
        cni.check(pod.attachment(), &result).unwrap();
    }
}

#[test]
fn an_address_of_the_node_that_no_pod_has_is_refused() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("asks-nobody").unwrap();
    let cidr = &lab.node(1).pod_cidrs()[0];
    let prefix = cidr.rsplit_once('.').map(|(prefix, _)| prefix.to_owned()).unwrap();
    let nobody = (2..250)
        .map(|last| format!("{prefix}.{last}"))
        .find(|ip| !lab.node(1).exec(&["ip", "route", "show", ip]).stdout.contains("dev"))
        .unwrap();
    let answer = pod.traffic(&format!("tcp-connects {nobody}:80 1"));
    assert_eq!(answer["errors"]["HostUnreachable"], 1, "{nobody}: {answer}");
}

#[test]
fn status_says_whether_pods_can_be_added() {
    let Some(lab) = LAB.enter() else { return };
    let cni = lab.node(1).cni().unwrap().in_version("1.1.0");
    cni.status().unwrap();
    lab.node(1).kill_agent();
    let status = cni.status();
    lab.node(1).restart_agent().unwrap();
    // CNI spec 1.1, STATUS: 50 is "the plugin is not available".
    assert_eq!(code(status), 50);
}

#[test]
fn bad_input_is_answered_by_the_specified_codes() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("bad").unwrap();
    let cni = lab.node(1).cni().unwrap();
    let plugin = cni.list()["plugins"][0]["type"].as_str().unwrap_or_default();
    let exec = |input: &str| cni.exec("ADD", pod.attachment(), plugin, input.as_bytes());
    // CNI spec 1.1, section 5: 1 incompatible version, 6 failed to decode.
    assert_eq!(code(exec("{")), 6);
    assert_eq!(code(exec(r#"{"cniVersion":"9.9.9","name":"x","type":"fairlead-cni"}"#)), 1);
}
