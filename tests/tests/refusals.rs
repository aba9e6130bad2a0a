//! What a stranger sees when something is wrong: one sentence that says what and what to do, and a
//! node on which nothing half-made stays.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "refusals/api.rs"]
mod api;
#[path = "refusals/cni.rs"]
mod cni;
#[path = "refusals/commands.rs"]
mod commands;
#[path = "refusals/config.rs"]
mod config;
#[path = "refusals/objects.rs"]
mod objects;
#[path = "refusals/start.rs"]
mod start;

use std::collections::BTreeMap;

use fairlead_tests::{Entered, Family, Host, Lab, LabSpec, Node, Output, Shared, agent_binary};
use serde_json::Value;

static LAB: Shared =
    Shared::new(|| Lab::new(LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() }));

/// The lab, with no agent on its nodes, nothing of Fairlead, and every node's object as it was made.
fn enter() -> Option<Entered<'static>> {
    let lab = LAB.enter()?;
    for node in lab.nodes() {
        node.kill_agent();
        if node.path("/sys/fs/bpf/fairlead").exists() || node.path("/run/fairlead").exists() {
            let cleaned = node.fairlead(&["cleanup"]).unwrap();
            assert!(cleaned.ok(), "{cleaned:?}");
            let _ = std::fs::remove_dir(node.path("/run/fairlead"));
        }
        lab.apply(node.object());
    }
    Some(lab)
}

/// Everything that a start may make on a node, to be compared.
fn everything(node: &Node) -> BTreeMap<String, Vec<String>> {
    let mut state = node.kernel_state();
    let files = node.exec(&["find", "/run", "/etc/cni/net.d", "/opt/cni/bin", "/sys/fs/bpf"]);
    let mut files: Vec<_> = files.stdout.lines().map(str::to_owned).collect();
    files.sort();
    state.insert("files".into(), files);
    state
}

/// The agent, told of no object, with `config` (YAML), after the shell has done `setup` in a mount
/// namespace of its own. `wrapper` is put before the command.
fn agent(node: &Node, config: &str, setup: &str, wrapper: &str) -> Output {
    let path = node.config_path();
    std::fs::write(&path, config).unwrap();
    let bin = agent_binary().unwrap();
    let (bin, path) = (bin.display(), path.display());
    let script = format!(
        "set -e\nmount -t tmpfs private /mnt\n{setup}\n\
         exec timeout 10 {wrapper} {bin} agent --node-name n1 --objects - --config {path}"
    );
    node.exec(&["unshare", "--mount", "sh", "-c", &script])
}

/// A configuration whose socket hooks are the node's own.
fn own_cgroup(node: &Node, more: &str) -> String {
    format!("cgroup: {}\n{more}\n", node.cgroup().display())
}

/// Fails unless `output` is a refusal that a person can read, with these words in it.
#[track_caller]
fn assert_refused(what: &str, output: &Output, words: &[&str]) {
    let text = output.stderr.trim_end();
    assert_eq!(output.code, 1, "{what}: {output:?}");
    assert!(text.starts_with("fairlead: ") && text.lines().count() == 1, "{what}: {text}");
    readable(what, text);
    for word in words {
        assert!(text.contains(word), "{what}: '{word}' is not in: {text}");
    }
}

/// No library's names, nothing twice, no essay.
#[track_caller]
fn readable(what: &str, text: &str) {
    let ugly = ["panicked", "backtrace", "Error(", "Some(", "Err(", "u32", "u16", "struct ", "  "];
    for ugly in ugly {
        assert!(!text.contains(ugly), "{what}: '{ugly}' is in: {text}");
    }
    assert!(text.matches("(os error").count() <= 1, "{what}: a cause is said twice: {text}");
    assert!(text.len() < 420, "{what}: {} bytes: {text}", text.len());
}

/// The sentences of `fairlead status`: everything that is said to be wrong.
fn sentences(node: &Node) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) if text.contains(' ') => into.push(text.clone()),
            Value::Array(all) => all.iter().for_each(|v| collect(v, into)),
            Value::Object(all) => all.values().for_each(|v| collect(v, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    // an agent that has just begun has no socket yet
    let status = node.fairlead(&["status", "-o", "json"]).unwrap().stdout;
    collect(&serde_json::from_str(&status).unwrap_or_default(), &mut all);
    all
}
