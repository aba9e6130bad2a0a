//! Where commands run: in a pod, on a node, or on the machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::command::{self, Said};

/// The tool of the harness; pods have it at [`TRAFFIC_IN_POD`].
pub const TRAFFIC: &str = env!("CARGO_BIN_EXE_fairlead-traffic");
pub const TRAFFIC_IN_POD: &str = "/fairlead-traffic";

static EXEC: AtomicU32 = AtomicU32::new(0);

/// A place. Pods are entered through their node's containerd, so that the API server and the kubelet
/// may be away.
#[derive(Clone, Debug)]
pub struct Place {
    name: String,
    enter: Vec<String>,
    container: Option<String>,
}

impl Place {
    pub fn machine() -> Self {
        Self { name: "the machine".into(), enter: Vec::new(), container: None }
    }

    pub fn node(node_exec: &str, node: &str) -> Self {
        let enter = vec![node_exec.to_owned(), node.to_owned()];
        Self { name: format!("node {node}"), enter, container: None }
    }

    /// A container of this node.
    pub fn container(&self, name: &str, id: &str) -> Self {
        Self { name: name.into(), container: Some(id.into()), ..self.clone() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both are the same container, or the same node.
    pub fn is(&self, other: &Self) -> bool {
        self.enter == other.enter && self.container == other.container
    }

    fn command(&self, line: &str, deadline: Duration) -> Command {
        self.words(&line.split_whitespace().collect::<Vec<_>>(), deadline)
    }

    fn words(&self, words: &[&str], deadline: Duration) -> Command {
        let mut all: Vec<&str> = self.enter.iter().map(String::as_str).collect();
        // Unique among those of all processes that test this cluster.
        let id = EXEC.fetch_add(1, Ordering::Relaxed);
        let id = format!("fairlead-test-{}-{id}", std::process::id());
        if let Some(container) = &self.container {
            all.extend("ctr -n k8s.io tasks exec --exec-id".split(' '));
            all.extend([id.as_str(), container]);
        }
        all.extend(words);
        command::words(&all, deadline)
    }

    /// Runs a command, split at spaces.
    pub fn run(&self, line: &str) -> Said {
        command::run(self.command(line, Duration::from_secs(60)))
    }

    /// Runs a shell script.
    pub fn sh(&self, script: &str) -> Said {
        command::run(self.words(&["sh", "-c", script], Duration::from_secs(60)))
    }

    fn traffic_line(&self, line: &str) -> String {
        let program = if self.container.is_some() { TRAFFIC_IN_POD } else { TRAFFIC };
        format!("{program} {line}")
    }

    /// Runs `fairlead-traffic`; its answer.
    #[track_caller]
    pub fn traffic(&self, line: &str) -> Value {
        self.run(&self.traffic_line(line)).json()
    }

    /// Starts `fairlead-traffic` with what goes on until it is told to end, once it is ready.
    #[track_caller]
    pub fn start(&self, line: &str) -> Running {
        let running = self.spawn(line);
        running.ready(&self.name)
    }

    /// Starts `fairlead-traffic` with what ends by itself.
    pub fn spawn(&self, line: &str) -> Running {
        let mut command = self.command(&self.traffic_line(line), Duration::from_secs(600));
        let typed = command::typed(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{typed}: {e}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Running { line: typed, child, stdin, stdout }
    }
}

/// A `fairlead-traffic` that works.
pub struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    #[track_caller]
    fn ready(mut self, place: &str) -> Self {
        let line = self.read();
        assert!(line.contains("ready"), "{place}: {}: it is not ready: '{line}'", self.line);
        self
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a pipe");
        line.trim_end().to_owned()
    }

    pub fn still_runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells it to end; its answer.
    #[track_caller]
    pub fn finish(mut self) -> Value {
        drop(self.stdin.take());
        let line = self.read();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: it said '{line}'", self.line))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
