use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::agent::traffic_binary;
use crate::output::run;
use crate::{Output, Place};

/// Where commands run: a node, a pod, the outside host.
pub trait Host {
    /// Its cgroup and namespaces.
    fn place(&self) -> &Place;

    /// Runs a command there to its end. Panics when it cannot be started.
    fn exec(&self, words: &[&str]) -> Output {
        let mut command = self.place().command(words[0]);
        command.args(&words[1..]);
        run(command).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs the traffic tool there to its end and returns the line of JSON that it printed.
    fn traffic(&self, line: &str) -> Value {
        let mut command = self.place().command(traffic_binary());
        command.args(line.split_whitespace());
        let output = run(command).unwrap_or_else(|e| panic!("{e}"));
        assert!(output.ok(), "fairlead-traffic {line}: {}", output.stderr);
        output.json()
    }

    /// Starts the traffic tool there and waits until it says that it is at work.
    fn start(&self, line: &str) -> Running {
        let mut command = self.place().command(traffic_binary());
        command.args(line.split_whitespace());
        Running::start(command, line)
    }
}

impl Host for Place {
    fn place(&self) -> &Place {
        self
    }
}

/// A traffic tool at work, until it is finished or dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command, line: &str) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("fairlead-traffic {line}: {e}"));
        let stdout = child.stdout.take().expect("stdout was piped above");
        let mut running = Self { child, lines: BufReader::new(stdout) };
        let first = running.line();
        assert!(first["ready"] == true, "fairlead-traffic {line}: {first}");
        running
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        let _ = self.lines.read_line(&mut line);
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    /// Ends it by closing its standard input; returns the line that it then prints.
    pub fn finish(mut self) -> Value {
        drop(self.child.stdin.take());
        self.line()
    }

    /// Waits until it ends by itself; returns the line that it then prints, null when it was killed.
    pub fn result(mut self) -> Value {
        self.line()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
