//! The agent's process: started with the node's objects on its standard input.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::store::Store;
use crate::{LabError, Place};

/// How long an agent may take until it is ready.
pub(crate) const READY_IN: Duration = Duration::from_secs(20);

/// The `fairlead` binary: `FAIRLEAD_BIN`, or the one beside the running program.
pub fn agent_binary() -> Result<PathBuf, LabError> {
    let path = match std::env::var_os("FAIRLEAD_BIN") {
        Some(path) => PathBuf::from(path),
        None => sibling("fairlead"),
    };
    found(path, "cargo build -p fairlead -p fairlead-cni, or set FAIRLEAD_BIN")
}

/// The CNI plugin to install: beside the agent's binary.
pub(crate) fn plugin_binary() -> Result<PathBuf, LabError> {
    found(agent_binary()?.with_file_name("fairlead-cni"), "cargo build -p fairlead-cni")
}

/// The traffic tool of this package.
pub(crate) fn traffic_binary() -> PathBuf {
    sibling("fairlead-traffic")
}

/// `name` in the profile's directory: tests run from its `deps`.
fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("Linux knows the path of a running program");
    let dir = own.parent().unwrap_or(Path::new("/"));
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    dir.join(name)
}

fn found(path: PathBuf, how: &str) -> Result<PathBuf, LabError> {
    if path.exists() {
        return Ok(path);
    }
    Err(LabError::Missing(format!("{} is not there: {how}", path.display())))
}

#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    /// Starts the agent of `node` in `place`; it logs to `log`, after what is there.
    pub(crate) fn start(
        place: &Place,
        node: &str,
        config: &Path,
        log: &Path,
        store: &Store,
    ) -> Result<Self, LabError> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|e| LabError::file("opening", log, e))?;
        let out = file.try_clone().map_err(|e| LabError::file("opening", log, e))?;
        let mut child = place
            .command(agent_binary()?)
            .args(["agent", "--node-name", node, "--objects", "-", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(file)
            .spawn()
            .map_err(|e| LabError::Command {
                command: "fairlead agent".into(),
                why: e.to_string(),
            })?;
        let (sender, receiver) = channel();
        let stdin = child.stdin.take().expect("stdin was piped above");
        std::thread::spawn(move || feed(stdin, &receiver));
        store.attach(node, sender);
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| format!("ended ({status})"))
    }

    /// Kills it with SIGKILL, and waits.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM), and waits.
    pub(crate) fn stop(&mut self) {
        crate::enter::kill(self.child.id(), libc::SIGTERM);
        crate::eventually(Duration::from_secs(5), || self.ended().is_some());
        self.kill();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes lines until no sender is left (the API server went away) or the agent is gone.
fn feed(mut stdin: ChildStdin, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if stdin.write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

/// The last `count` lines of a file.
pub(crate) fn tail(path: &Path, count: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
