//! Many pods made and deleted leave nothing: no address, link, map entry, descriptor or memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use fairlead_tests::{Family, Lab, LabSpec, Node, Shared, eventually};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 1, family: Family::Dual, ..LabSpec::default() })
});

/// Memory that may remain: allocators keep some.
const SLACK_KB: u64 = 6 * 1024;

/// Descriptors that come and go by themselves, of threads that wait for the kernel. A leak of one a pod
/// would be hundreds.
const SLACK_DESCRIPTORS: usize = 4;

fn descriptors(node: &Node) -> usize {
    let pid = node.agent_pid().expect("the agent runs");
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn memory_kb(node: &Node) -> u64 {
    let pid = node.agent_pid().expect("the agent runs");
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap()
}

fn state_files(node: &Node) -> usize {
    std::fs::read_dir(node.path("/run/fairlead/pods")).map_or(0, Iterator::count)
}

fn churn(node: &Node, total: usize, at_once: usize) {
    for round in 0..total / at_once {
        let name = |i: usize| format!("churn-{round}-{i}");
        let pods: Vec<_> = (0..at_once).map(|i| node.add_pod(&name(i)).unwrap()).collect();
        let mut addresses: Vec<_> = pods.iter().map(|pod| pod.v4()).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), at_once, "an address was given twice");
        pods.into_iter().for_each(|pod| pod.delete().unwrap());
    }
}

fn leaves_nothing(total: usize, at_once: usize) {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    // Whatever is allocated once is allocated by the first pods.
    churn(node, at_once, at_once);
    let before = (node.kernel_state(), state_files(node));
    let (memory, open) = (memory_kb(node), descriptors(node));
    churn(node, total, at_once);
    let now = || (node.kernel_state(), state_files(node));
    assert!(eventually(Duration::from_secs(5), || now() == before), "{:#?}\n{before:#?}", now());
    let closed = || descriptors(node) <= open + SLACK_DESCRIPTORS;
    assert!(eventually(Duration::from_secs(5), closed), "{open}, then {}", descriptors(node));
    let grown = memory_kb(node).saturating_sub(memory);
    assert!(grown < SLACK_KB, "the agent grew by {grown} kB over {total} pods");
}

#[test]
fn two_hundred_pods_leave_nothing() {
    leaves_nothing(200, 50);
}

#[test]
#[ignore = "takes a minute"]
fn two_thousand_pods_leave_nothing() {
    leaves_nothing(2000, 100);
}
