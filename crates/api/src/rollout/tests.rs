use serde_json::{Value, json};

use super::*;
use crate::scripted::{Server, failure};

fn name() -> ObjectName {
    ObjectName::new("kube-system", "fairlead-agent")
}

fn set(generation: u32, observed: u32, counts: [u32; 3]) -> Value {
    let container = json!({"name": "agent", "command": ["/fairlead"], "args": ["agent", "-x"]});
    json!({"metadata": {"name": "fairlead-agent", "generation": generation},
        "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "other"}, container]}}},
        "status": {"observedGeneration": observed, "desiredNumberScheduled": counts[0],
            "updatedNumberScheduled": counts[1], "numberReady": counts[2],
            "currentNumberScheduled": 0, "numberMisscheduled": 0}})
}

#[tokio::test]
async fn a_rollout_is_done_when_every_node_runs_a_ready_pod_of_the_present_specification() {
    let cases = [
        (set(2, 2, [3, 3, 3]), true, 3),
        (set(2, 2, [0, 0, 0]), true, 0),
        // The status is that of the old specification.
        (set(2, 1, [3, 3, 3]), false, 0),
        // Ready ones may be old.
        (set(2, 2, [3, 1, 3]), false, 1),
        (set(2, 2, [3, 3, 2]), false, 2),
    ];
    for (set, done, nodes) in cases {
        let server = Server::new(vec![(200, set.clone())]);
        let found = rollout(&server.client(), &name(), "agent").await.unwrap().unwrap();
        assert_eq!((found.done(), found.nodes_done()), (done, nodes), "{set}");
        assert_eq!(found.command, ["/fairlead", "agent", "-x"]);
    }
}

#[tokio::test]
async fn a_command_is_replaced_on_all_nodes_at_once() {
    let server = Server::new(vec![(200, set(3, 2, [1, 1, 1])), (404, failure(404, "not found"))]);
    let command = ["/fairlead".to_owned(), "cleanup".to_owned()];
    assert!(replace_command(&server.client(), &name(), "agent", &command).await.unwrap());
    assert!(!replace_command(&server.client(), &name(), "agent", &command).await.unwrap());
    let asked = &server.asked()[0];
    let path = "PATCH /apis/apps/v1/namespaces/kube-system/daemonsets/fairlead-agent";
    assert!(asked.starts_with(path), "{asked}");
    let parts =
        ["strategic", r#""maxUnavailable":"100%""#, r#""args":null"#, r#"["/fairlead","cleanup"]"#];
    for part in parts {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

fn pod(status: Value) -> core::Pod {
    serde_json::from_value(json!({"metadata": {"name": "p"},
        "spec": {"nodeName": "n1", "containers": [{"name": "agent", "command": ["/fairlead"]}]},
        "status": status}))
    .unwrap()
}

#[test]
fn a_pod_that_is_not_ready_says_why() {
    let container = |state: Value| {
        json!({"phase": "Running", "containerStatuses": [{"name": "agent", "state": state,
            "image": "", "imageID": "", "ready": false, "restartCount": 3}]})
    };
    let condition = |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status, "message": "no room"}]});
    let cases = [
        (condition("Ready", "True"), None),
        (condition("PodScheduled", "False"), Some("not scheduled: no room")),
        (container(json!({"waiting": {"reason": "CrashLoopBackOff"}})), Some("CrashLoopBackOff")),
        (container(json!({"terminated": {"exitCode": 1}})), Some("ended with exit code 1")),
        (container(json!({"running": {}})), Some("Running, not ready")),
        (json!({}), Some("Pending, not ready")),
    ];
    for (status, expected) in cases {
        let waits = state(&pod(status.clone()), "agent").waits;
        let as_expected = match (expected, &waits) {
            (Some(expected), Some(said)) => said.starts_with(expected),
            (expected, said) => expected.is_none() && said.is_none(),
        };
        assert!(as_expected, "{status}: {waits:?}");
    }
    let mut ending = pod(condition("Ready", "True"));
    ending.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(state(&ending, "agent").waits.unwrap().starts_with("still ending"));
}

#[test]
fn the_node_of_a_pod_is_known_before_it_is_scheduled() {
    let pod: core::Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
        "containers": [],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["n7"]}]}]}}}}}))
    .unwrap();
    assert_eq!(state(&pod, "agent").node, "n7");
}
