//! A node with an agent that answers as a test says, and the plugin run on it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};

use fairlead_cni::protocol::{Added, Interface, Ip, Request, Response, Route};
use fairlead_cni::server::{Agent, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What the plugin did.
#[derive(Debug)]
pub struct Outcome {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A request, and the inode of the namespace that came with it.
pub type Seen = (Request, Option<u64>);

type Answer = Box<dyn Fn(&Request) -> Response + Send + Sync>;

pub struct TestAgent {
    answer: Answer,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Agent for TestAgent {
    async fn handle(&self, request: Request, netns: Option<OwnedFd>) -> Response {
        let inode = netns.map(|netns| rustix::fs::fstat(netns).unwrap().st_ino);
        let response = (self.answer)(&request);
        self.seen.lock().unwrap().push((request, inode));
        response
    }
}

pub struct Node {
    runtime: Runtime,
    dir: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Node {
    pub fn without_agent() -> Node {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Node { runtime, dir: tempfile::tempdir().unwrap(), seen: Arc::default() }
    }

    pub fn new(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Node {
        let node = Node::without_agent();
        let agent = Arc::new(node.agent(answer));
        let _guard = node.runtime.enter();
        node.runtime.spawn(Server::bind(&node.socket()).unwrap().serve(agent));
        drop(_guard);
        node
    }

    pub fn agent(
        &self,
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> TestAgent {
        TestAgent { answer: Box::new(answer), seen: self.seen.clone() }
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir().join("cni.sock")
    }

    pub fn spool(&self) -> PathBuf {
        self.dir().join("deleted")
    }

    pub fn config(&self, version: &str) -> Value {
        json!({
            "cniVersion": version,
            "name": "fairlead",
            "type": "fairlead-cni",
            "socket": self.socket(),
            "spool": self.spool(),
        })
    }

    /// Runs the plugin for container `abc` and interface `eth0`.
    pub fn command(
        &self,
        command: &str,
        netns: &str,
        more: &[(&str, &str)],
        version: &str,
    ) -> Outcome {
        let mut env = vec![
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "abc"),
            ("CNI_NETNS", netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
        ];
        env.extend(more);
        let mut config = self.config(version);
        if command == "GC" {
            config["cni.dev/valid-attachments"] = json!([]);
        }
        self.run(&env, config.to_string().as_bytes())
    }

    pub fn run(&self, env: &[(&str, &str)], stdin: &[u8]) -> Outcome {
        let mut plugin = Process::new(env!("CARGO_BIN_EXE_fairlead-cni"))
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The plugin may end before it has read everything.
        let _ = plugin.stdin.take().unwrap().write_all(stdin);
        let output = plugin.wait_with_output().unwrap();
        Outcome {
            exit: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A network namespace that is not ours: a process's.
pub struct Netns(Child);

impl Netns {
    /// None, said loudly, where we may not make one; in CI that is a failure.
    pub fn new() -> Option<Netns> {
        let mut holder = Process::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let netns = Netns(holder);
        if line == "ready\n" {
            return Some(netns);
        }
        assert!(std::env::var_os("CI").is_none(), "CI cannot make a network namespace");
        eprintln!("SKIPPED: cannot make a network namespace: run this test as root");
        None
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    pub fn inode(&self) -> u64 {
        std::fs::metadata(self.path()).unwrap().ino()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The result of a dual-stack ADD.
pub fn added() -> Added {
    let interface = |name: &str, mac: &str, sandbox: Option<&str>| Interface {
        name: name.into(),
        mac: mac.into(),
        mtu: Some(1450),
        sandbox: sandbox.map(String::from),
    };
    let ip = |address: &str, gateway: &str| Ip {
        address: address.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        interface: Some(1),
    };
    let route = |dst: &str, gw: &str, mtu| Route {
        dst: dst.parse().unwrap(),
        gw: Some(gw.parse().unwrap()),
        mtu,
    };
    Added {
        interfaces: vec![
            interface("fl0123456789a", "02:00:00:00:00:01", None),
            interface("eth0", "02:00:00:00:00:02", Some("/netns")),
        ],
        ips: vec![ip("10.0.0.5/32", "169.254.1.1"), ip("fd00::5/128", "fe80::1")],
        routes: vec![route("0.0.0.0/0", "169.254.1.1", Some(1400)), route("::/0", "fe80::1", None)],
    }
}
