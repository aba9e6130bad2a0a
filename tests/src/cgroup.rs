//! The lab's cgroup v2 directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{LabError, eventually};

/// Everything of a lab that has a name begins with this, then the process id.
pub(crate) const PREFIX: &str = "fairlead-test-";

/// Where cgroup v2 is mounted: on hybrid machines not at /sys/fs/cgroup (cgroups(7)).
pub(crate) fn mount_point() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().find_map(parse_mount)
}

/// The mount point of a mountinfo line whose file system is cgroup2 (proc(5)).
fn parse_mount(line: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    let is_v2 = kind.split(' ').next() == Some("cgroup2");
    is_v2.then(|| mount.split(' ').nth(4).map(PathBuf::from)).flatten()
}

pub(crate) fn make(dir: &Path) -> Result<(), LabError> {
    fs::create_dir_all(dir).map_err(|e| LabError::file("making", dir, e))
}

/// Kills what runs in `dir`, waits for it, and removes the directory.
pub(crate) fn remove(dir: &Path) {
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    eventually(Duration::from_secs(5), || {
        remove_tree(dir);
        !dir.exists()
    });
}

/// Removes `dir` and those below it, deepest first; files of cgroupfs need no removal.
pub(crate) fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

/// Collects what runs that were killed have left: their cgroups, processes and logs.
pub(crate) fn collect_leftovers(root: &Path) {
    for path in leftovers(root) {
        remove(&path);
    }
    for path in leftovers(&std::env::temp_dir()) {
        let _ = fs::remove_dir_all(path);
    }
}

fn leftovers(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter(|e| is_leftover(&e.file_name().to_string_lossy())).map(|e| e.path()).collect()
}

fn is_leftover(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_mount_of_a_hybrid_machine_is_found() {
        let line = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(parse_mount(line), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        let line = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu";
        assert_eq!(parse_mount(line), None);
    }

    #[test]
    fn only_names_of_dead_processes_are_leftovers() {
        assert!(is_leftover("fairlead-test-4294967295-0"));
        assert!(!is_leftover(&format!("fairlead-test-{}-0", std::process::id())));
        assert!(!is_leftover("fairlead-test-x"));
        assert!(!is_leftover("system.slice"));
    }
}
