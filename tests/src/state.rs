//! What the kernel holds of a node, in a form that two moments can be compared by.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Host, Node};

/// Maps that follow from objects and pods alone. Others hold flows, counters, or numbers that
/// depend on the order of changes.
const MAPS: [&str; 4] = ["fl_endpoints", "fl_nodes", "fl_uplinks", "fl_frontends"];

/// Members of values that depend on history: a pod's number, a mark of the packet path, and where
/// in the slots a Service's run lies.
const HISTORY: [&str; 3] = ["pod", "translated", "run"];

impl Node {
    /// Links, addresses, routes, permanent neighbours, socket hooks, pinned files (links of programs
    /// among them) and map entries, each as a sorted list. Two dumps are equal when the kernel's
    /// state is.
    pub fn kernel_state(&self) -> BTreeMap<String, Vec<String>> {
        let mut state = BTreeMap::new();
        state.insert("links".into(), self.lines(&["ip", "-o", "link"], &[" mode ", " link/"]));
        for (what, family) in [("routes", "-4"), ("routes6", "-6")] {
            let lines =
                self.lines(&["ip", family, "route", "show", "table", "all"], &[" expires "]);
            state.insert(what.into(), lines);
        }
        let neighbours = self.lines(&["ip", "neigh", "show", "nud", "permanent"], &[]);
        state.insert("neighbours".into(), neighbours);
        let addresses = self.lines(&["ip", "-o", "addr"], &["valid_lft", " tentative"]);
        state.insert("addresses".into(), addresses);
        state.insert("hooks".into(), self.socket_hooks());
        let pins = pinned(&self.path("/sys/fs/bpf"));
        for name in MAPS {
            let entries = pins.iter().filter(|pin| pin.rsplit('/').next() == Some(name));
            state.insert(name.into(), entries.flat_map(|pin| self.map_entries(pin)).collect());
        }
        state.insert("pins".into(), pins);
        state
    }

    /// Lines of a command, sorted, each cut at the first of `cut`.
    fn lines(&self, words: &[&str], cut: &[&str]) -> Vec<String> {
        let output = self.exec(words).stdout;
        let short = |line: &str| {
            let end = cut.iter().filter_map(|cut| line.find(cut)).min();
            line[..end.unwrap_or(line.len())].trim().to_owned()
        };
        // The kernel makes anycast routes where forwarding is on, and that nobody turns off again.
        let lines = output.lines().filter(|line| !line.starts_with("anycast"));
        let mut lines: Vec<_> = lines.map(short).collect();
        lines.sort();
        lines
    }

    /// Programs of the node's cgroup by hook and name; their numbers change with every start.
    fn socket_hooks(&self) -> Vec<String> {
        let cgroup = self.cgroup().to_string_lossy();
        let output = self.exec(&["bpftool", "-j", "cgroup", "show", &cgroup]);
        let hooks: Value = serde_json::from_str(&output.stdout).unwrap_or(json!(null));
        let named = |hook: &Value| format!("{} {}", hook["attach_type"], hook["name"]);
        let mut lines: Vec<_> = hooks.as_array().into_iter().flatten().map(named).collect();
        lines.sort();
        lines
    }

    fn map_entries(&self, pin: &str) -> Vec<String> {
        let output = self.exec(&["bpftool", "-j", "map", "dump", "pinned", pin]);
        let dump: Value = serde_json::from_str(&output.stdout).unwrap_or(json!(null));
        let mut entries: Vec<_> = dump.as_array().into_iter().flatten().map(entry).collect();
        entries.sort();
        entries
    }
}

/// An entry as bpftool shows it by BTF, without what depends on history.
fn entry(entry: &Value) -> String {
    if entry["formatted"].is_null() {
        return entry.to_string();
    }
    let mut formatted = entry["formatted"].clone();
    if let Some(value) = formatted["value"].as_object_mut() {
        value.retain(|name, _| !HISTORY.contains(&name.as_str()));
    }
    formatted.to_string()
}

/// Paths of the files below `root`, a bpffs, as its node sees them.
fn pinned(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(entry.path());
            } else if let Ok(inner) = entry.path().strip_prefix(root) {
                found.push(format!("/sys/fs/bpf/{}", inner.display()));
            }
        }
    }
    found.sort();
    found
}
