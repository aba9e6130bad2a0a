//! Rounds: every topology in turn, for every pattern and CPU mode.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use fairlead_tests::{LabError, Place, eventually};

use crate::topology::{Path, Topologies};

/// Ports of the servers on CPU 0 and CPU 1.
pub const PORTS: [u16; 2] = [7000, 7001];

/// The network of the benchmark's Services.
pub const SERVICE: [u8; 3] = [10, 96, 7];

/// A pattern of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Pattern {
    /// One TCP stream, Mbit/s.
    Stream,
    /// One byte there and back over TCP, a second.
    Rr,
    /// Connect, a byte there and back, close, a second.
    Connect,
    /// One byte there and back in datagrams, a second.
    Udp,
}

impl Pattern {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Stream, Self::Rr, Self::Connect, Self::Udp];

    /// As a table's heading, with the unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Stream => "TCP stream, Mbit/s",
            Self::Rr => "TCP request/response, 1/s",
            Self::Connect => "TCP connect/request/response, 1/s",
            Self::Udp => "UDP request/response, 1/s",
        }
    }

    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Which CPUs client and server run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cpus {
    /// CPU 0 for both.
    One,
    /// CPU 0 for the client, CPU 1 for the server.
    Two,
    /// First one, then the other.
    Both,
}

impl Cpus {
    /// The server's CPUs to measure; the client's is 0.
    pub fn servers(self) -> Vec<usize> {
        match self {
            Self::One => vec![0],
            Self::Two => vec![1],
            Self::Both => vec![0, 1],
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rounds: usize,
    pub seconds: f64,
    pub cpus: Cpus,
    pub only: Option<String>,
}

/// Raw values by (server's CPU, topology, pattern), one a round.
pub type Results = BTreeMap<(usize, &'static str, Pattern), Vec<f64>>;

/// Runs the plan.
pub fn run(plan: &Plan, topologies: &Topologies) -> Result<Results, LabError> {
    let wanted = |path: &&Path| plan.only.as_ref().is_none_or(|only| path.name.contains(only));
    let (mut paths, mut servers) = (Vec::new(), Vec::new());
    // All servers, wanted or not: a Service has that of a pod.
    for path in &topologies.paths {
        for cpu in plan.cpus.servers().into_iter().filter(|_| !path.served) {
            servers.push(Server::start(&path.server, cpu)?);
        }
    }
    for path in topologies.paths.iter().filter(wanted) {
        match wait_for(path, plan.cpus.servers()[0]) {
            Ok(()) => paths.push(path),
            Err(why) => eprintln!("SKIPPED: {why}"),
        }
    }
    let mut results = Results::new();
    for _ in 0..plan.rounds {
        for cpu in plan.cpus.servers() {
            for pattern in Pattern::ALL {
                for path in &paths {
                    let figure = measure(path, cpu, pattern, plan.seconds)?;
                    results.entry((cpu, path.name, pattern)).or_default().push(figure);
                }
            }
        }
    }
    Ok(results)
}

/// A Service is there a moment after it was applied.
fn wait_for(path: &Path, cpu: usize) -> Result<(), LabError> {
    let mut last = Ok(0.0);
    eventually(Duration::from_secs(10), || {
        last = measure(path, cpu, Pattern::Udp, 0.0)
            .and_then(|_| measure(path, cpu, Pattern::Rr, 0.0));
        last.is_ok()
    });
    last.map(drop)
}

fn measure(path: &Path, cpu: usize, pattern: Pattern, seconds: f64) -> Result<f64, LabError> {
    let target = SocketAddr::new(path.address, PORTS[cpu]);
    let failed = |why: String| LabError::Command {
        command: format!("{} of '{}'", pattern.word(), path.name),
        why,
    };
    let output = path
        .client
        .clone()
        .on_cpu(0)
        .command("/proc/self/exe")
        .args(["client", &pattern.word(), &target.to_string(), &seconds.to_string()])
        .output()
        .map_err(|e| failed(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = text.trim().parse().ok().filter(|_| output.status.success());
    figure.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}

struct Server(Child);

impl Server {
    fn start(place: &Place, cpu: usize) -> Result<Self, LabError> {
        let failed = |why: String| LabError::Command { command: "serve".into(), why };
        let child = place
            .clone()
            .on_cpu(cpu)
            .command("/proc/self/exe")
            .args(["serve", &PORTS[cpu].to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|e| failed(e.to_string()))?;
        let stdout = child.stdout.take().expect("stdout was piped above");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let server = Self(child);
        match read {
            Ok(_) if line == "ready\n" => Ok(server),
            _ => Err(failed("it did not begin to listen".into())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
