use std::path::Path;

use crate::{cgroup, enter};

/// The programs that the harness itself runs.
const TOOLS: [&str; 4] = ["ip", "mount", "sh", "cat"];

/// What this machine lacks to run a lab, as a sentence; none when it can.
pub fn missing() -> Option<String> {
    if !enter::is_root() {
        return Some("labs make namespaces and load programs: run as root".into());
    }
    if cgroup::mount_point().is_none() {
        return Some("no cgroup v2 in /proc/self/mountinfo: mount -t cgroup2 none <dir>".into());
    }
    if !has_bpffs() {
        return Some("the kernel has no bpffs (CONFIG_BPF_SYSCALL)".into());
    }
    let tool = TOOLS.into_iter().find(|tool| !has_tool(tool))?;
    Some(format!("'{tool}' is not in PATH: install iproute2, mount and coreutils"))
}

fn has_bpffs() -> bool {
    let list = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    list.lines().any(|line| line.split_whitespace().last() == Some("bpf"))
}

fn has_tool(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(tool).exists())
}

/// Says loudly that a test was skipped; where skipping is a failure (CI is set), panics.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot be skipped in CI: {why}");
    // Not eprintln: the test runner would swallow it for tests that pass.
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}
