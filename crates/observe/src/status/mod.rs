//! What an agent says of itself: values to fill in, the problems in them, and one screen of text.

mod page;
mod problems;
mod render;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use problems::{Problem, State};

/// An agent's status. Everything has a default; what is unknown stays empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The node and its agent.
    pub node: Node,
    /// The connection to the API.
    pub api: Api,
    /// What is in the kernel.
    pub datapath: Datapath,
    /// The other nodes.
    pub nodes: Vec<OtherNode>,
    /// The pods of this node.
    pub pods: Pods,
    /// Load balancing.
    pub services: Services,
    /// The node's name server.
    pub dns: Dns,
    /// How full the maps are.
    pub maps: Vec<Map>,
    /// What was forwarded, and how.
    pub traffic: Vec<Traffic>,
    /// What was dropped, and why. Zero counts may be left out.
    pub drops: Vec<Drops>,
    /// Problems that the agent knows of and that do not follow from the values above.
    pub reported: Vec<Problem>,
}

/// The node and its agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// Seconds since the agent started.
    pub uptime: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// The node's addresses that others reach it by.
    pub addresses: Vec<IpAddr>,
}

/// The connection to the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Api {
    /// URL of the server.
    pub server: String,
    /// Whether the last request or watch went well.
    pub connected: bool,
    /// Seconds since that changed.
    pub since: u64,
    /// The last error.
    pub error: Option<String>,
    /// Kinds whose first list is not complete: `EndpointSlice`, ...
    pub not_synced: Vec<String>,
}

/// What is in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Datapath {
    /// Programs and where they are attached.
    pub programs: Vec<Program>,
    /// Layout version of the maps.
    pub layout: u32,
    /// Where maps and links are pinned.
    pub bpffs: String,
    /// The cgroup whose sockets are served.
    pub cgroup: String,
    /// How other nodes are to be reached: `auto`, `direct` or `vxlan`.
    pub routing: String,
    /// MTU of pods.
    pub mtu: u32,
    /// What decided the MTU: `vxlan over eth0 (1500)`.
    pub mtu_reason: String,
    /// Families that are masqueraded: `IPv4`, `IPv6`.
    pub masquerade: Vec<String>,
    /// Devices of the node that carry traffic.
    pub devices: Vec<Device>,
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Number of places where it is attached.
    pub attached: u32,
    /// Number of places where it should be.
    pub wanted: u32,
}

/// A device of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its MTU.
    pub mtu: u32,
    /// Offloads that are off and cost speed: `tx-udp_tnl-segmentation`, ...
    pub offloads_off: Vec<String>,
}

/// Another node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherNode {
    /// Its name.
    pub name: String,
    /// The address that it is reached by.
    pub address: Option<IpAddr>,
    /// How: `direct` or `vxlan`.
    pub way: String,
    /// Its pod CIDRs.
    pub pod_cidrs: Vec<String>,
    /// Why its pods are not reached, and what to do.
    pub problem: Option<String>,
}

/// The pods of this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pods {
    /// Number of pods with a link.
    pub count: u64,
    /// Addresses.
    pub ranges: Vec<Range>,
}

/// A pod CIDR of this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    /// The CIDR.
    pub cidr: String,
    /// Addresses that pods have or that rest.
    pub in_use: u64,
    /// Addresses that pods can have.
    pub capacity: u64,
}

/// Load balancing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Services {
    /// Number of Services.
    pub services: u64,
    /// Number of frontends.
    pub frontends: u64,
    /// Number of backends.
    pub backends: u64,
    /// Services with a fault, `namespace/name: sentence`.
    pub problems: Vec<String>,
}

/// The node's name server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Addresses that it answers on.
    pub addresses: Vec<IpAddr>,
    /// Questions answered since the agent started.
    pub answered: u64,
    /// Questions that got SERVFAIL or nothing.
    pub failed: u64,
}

/// How full a map is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// Entries in use.
    pub entries: u64,
    /// Entries that fit.
    pub max: u64,
    /// Whether old entries make room when it is full (LRU).
    pub evicts: bool,
}

/// Packets forwarded in one way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// How: `pod`, `direct`, `vxlan`, ...
    pub how: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Packets dropped by one hook for one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drops {
    /// The hook.
    pub hook: String,
    /// The reason, for people.
    pub reason: String,
    /// Packets.
    pub packets: u64,
}

/// A status with what follows from it, as JSON has it.
#[derive(Serialize)]
struct Report<'a> {
    state: State,
    problems: Vec<Problem>,
    #[serde(flatten)]
    status: &'a Status,
}

impl Status {
    /// The status with `state` and `problems` as JSON, indented.
    pub fn to_json(&self) -> String {
        let report = Report { state: self.state(), problems: self.problems(), status: self };
        serde_json::to_string_pretty(&report).expect("plain structs with string keys are JSON")
    }
}
