//! The plugin's requests that cannot be served.

use std::time::Duration;

use fairlead_tests::{Attachment, Cni, Host, LabError, Sandbox, objects};
use serde_json::json;

use crate::{enter, everything, readable};

const READY_IN: Duration = Duration::from_secs(20);

/// The error object of a call that must fail.
#[track_caller]
fn failed<T: std::fmt::Debug>(what: &str, outcome: Result<T, LabError>, words: &[&str]) -> i64 {
    let Err(LabError::Cni { code, message, .. }) = outcome else { panic!("{what}: {outcome:?}") };
    eprintln!("{what}: {code}: {message}");
    readable(what, message.trim());
    assert!(words.iter().all(|word| message.contains(word)), "{what}: {message}");
    code
}

#[test]
fn a_full_range_says_so_and_goes_on_when_a_pod_goes() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let cidrs = ["10.244.1.0/29".to_owned(), "fd44:0:0:1::/64".to_owned()];
    lab.apply(objects::node(node.name(), &node.addresses(), &cidrs));
    node.start_agent().unwrap();
    node.wait_ready(READY_IN).unwrap();
    let mut pods: Vec<_> = (0..5).map(|i| node.add_pod(&format!("full-{i}")).unwrap()).collect();
    let before = everything(node);
    let words = &["no free address in 10.244.1.0/29", "5 of 5", "larger pod CIDR"];
    failed("full", node.add_pod("one-too-many"), words);
    assert_eq!(everything(node), before);
    let freed = pods.remove(0);
    let address = freed.v4();
    freed.delete().unwrap();
    let next = node.add_pod("fits").unwrap();
    assert_eq!(next.v4(), address);
    assert!(next.traffic(&format!("ping {} 1", pods[0].v4()))["ok"] == 1);
}

#[test]
fn namespaces_and_interfaces_that_cannot_be_are_refused_and_nothing_stays() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    node.start_agent().unwrap();
    node.wait_ready(READY_IN).unwrap();
    let cni = node.cni().unwrap();
    let sandbox = Sandbox::new(node).unwrap();
    // the address given last is remembered
    node.add_pod("earlier").unwrap().delete().unwrap();
    let before = everything(node);
    let add = |netns: &str, ifname: &str| {
        let good = sandbox.attachment(&"a".repeat(64));
        let (netns, ifname) = (netns.to_owned(), ifname.to_owned());
        cni.add(&Attachment { netns, ifname, ..good })
    };
    let good = sandbox.attachment("x").netns;
    failed("no such path", add("/proc/1/ns/nowhere", "eth0"), &["/proc/1/ns/nowhere"]);
    failed("no namespace", add("/dev/null", "eth0"), &["namespace"]);
    failed("another kind", add("/proc/self/ns/mnt", "eth0"), &["namespace"]);
    let own = format!("/proc/{}/ns/net", node.agent_pid().unwrap());
    failed("the node's", add(&own, "eth0"), &["the namespace that the plugin runs in"]);
    failed("a long name", add(&good, "a-name-that-is-too-long"), &["a-name-that-is-too-long"]);
    assert!(sandbox.exec(&["ip", "link", "add", "eth0", "type", "veth", "peer", "x"]).ok());
    failed("a name in use", add(&good, "eth0"), &["already has eth0", "recreate the pod"]);
    assert_eq!(everything(node), before);
    assert!(sandbox.exec(&["ip", "link", "show", "eth0"]).ok(), "not ours to take");
    assert!(sandbox.exec(&["ip", "link", "del", "eth0"]).ok());
    let result = add(&good, "eth0").unwrap();
    cni.del(&sandbox.attachment(&"a".repeat(64)), &result).unwrap();
}

#[test]
fn a_pod_that_comes_before_the_agent_is_ready_is_told_to_come_again() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let list = json!({
        "cniVersion": "1.1.0", "name": "fairlead", "plugins": [{"type": "fairlead-cni"}],
    });
    let bin = fairlead_tests::agent_binary().unwrap();
    let bin = bin.parent().unwrap().to_str().unwrap();
    let cni = Cni::new(node.place().clone(), bin, list);
    let sandbox = Sandbox::new(node).unwrap();
    let attachment = sandbox.attachment(&"b".repeat(64));
    let before = everything(node);
    let code = failed("no agent", cni.add(&attachment), &["agent", "/run/fairlead/cni.sock"]);
    assert_eq!(code, 11, "CNI spec 1.1, section 5: 11 is \"try again later\"");
    assert_eq!(everything(node), before);
    lab.apply(objects::node(node.name(), &node.addresses(), &[]));
    node.start_agent().unwrap();
    assert!(fairlead_tests::eventually(READY_IN, || node
        .path("/run/fairlead/agent.sock")
        .exists()));
    let code =
        failed("not ready", cni.add(&attachment), &["starting", "pod CIDR", "fairlead status"]);
    assert_eq!(code, 11);
    cni.del(&attachment, &serde_json::Value::Null).unwrap();
}
