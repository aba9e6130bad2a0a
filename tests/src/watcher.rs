//! A process that cleans up when this one ends without doing so (statics are not dropped, and
//! SIGKILL asks nobody).

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::LabError;

const SCRIPT: &str = r#"
cat > /dev/null
echo 1 > "$0/cgroup.kill"
for try in $(seq 100); do
    find "$0" -depth -type d -exec rmdir {} + && break
    test -d "$0" || break
    sleep 0.05
done
rm -rf "$1"
"#;

#[derive(Debug)]
pub(crate) struct Watcher(Child);

impl Watcher {
    /// Watches this process for the cgroup directory and the folder of a lab.
    pub(crate) fn start(cgroup: &Path, folder: &Path) -> Result<Self, LabError> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT])
            .args([cgroup, folder])
            // Not in the terminal's foreground group: an interrupt must not end it.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let failed =
            |e: std::io::Error| LabError::Command { command: "sh".into(), why: e.to_string() };
        Ok(Self(child.map_err(failed)?))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
