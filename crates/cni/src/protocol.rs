//! What plugin and agent say to each other: one line of JSON each way, over a unix stream socket.
//! The pod's network namespace comes with the request's first bytes as a descriptor (SCM_RIGHTS).
//!
//! The version counts breaking changes only. Both sides skip fields that they don't know and have
//! defaults for those that they miss, so adding a field needs no new version. An agent understands
//! every version up to its own; once there are two, it has to answer in the request's.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub mod code;
mod names;

pub(crate) use names::is_word;
pub use names::{container_id_error, ifname_error};

/// The version of this protocol that is spoken here.
pub const PROTOCOL: u32 = 1;

/// The most bytes that a message may have: thousands of attachments in a GC fit.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// Where the agent listens, unless configured otherwise.
pub const DEFAULT_SOCKET: &str = "/run/fairlead/cni.sock";

/// Where DELs wait for an agent that is down, unless configured otherwise.
pub const DEFAULT_SPOOL: &str = "/run/fairlead/deleted";

/// What the runtime wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Command {
    /// Attach a pod.
    Add,
    /// Detach a pod, if it is attached.
    Del,
    /// Is the attachment as ADD left it?
    Check,
    /// Detach everything but the attachments named.
    Gc,
    /// Could an ADD be served?
    Status,
}

/// The pod, as `CNI_ARGS` names it; empty where the runtime didn't say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: String,
    /// `K8S_POD_NAME`.
    pub name: String,
    /// `K8S_POD_UID`.
    pub uid: String,
}

/// One interface of one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// `CNI_CONTAINERID`: the sandbox, not a container of the pod.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
}

/// One call of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Empty for GC and STATUS.
    #[serde(default)]
    pub container_id: String,
    /// The name of the interface in the pod; empty for GC and STATUS.
    #[serde(default)]
    pub ifname: String,
    /// The namespace's path as the runtime sees it: for results and logs. Its descriptor comes
    /// with the message (ADD and CHECK), since the path may not exist in the agent's mounts.
    #[serde(default)]
    pub netns: String,
    /// The pod.
    #[serde(default)]
    pub pod: Pod,
    /// GC: everything else is to go.
    #[serde(default)]
    pub valid_attachments: Vec<Attachment>,
}

impl Request {
    /// A request with nothing in it but its command.
    pub fn new(command: Command) -> Request {
        Request {
            command,
            container_id: String::new(),
            ifname: String::new(),
            netns: String::new(),
            pod: Pod::default(),
            valid_attachments: Vec::new(),
        }
    }

    /// Whether container id and interface name are what the specification allows, so that they
    /// can be parts of file names.
    pub fn validate(&self) -> Result<(), Failure> {
        if matches!(self.command, Command::Gc | Command::Status) {
            return Ok(());
        }
        let wrong = container_id_error(&self.container_id).or_else(|| ifname_error(&self.ifname));
        wrong.map_or(Ok(()), |why| Err(Failure::new(code::INVALID_ENVIRONMENT, why)))
    }
}

/// An interface that ADD made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address, as `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Its MTU in bytes, where known.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The path of the namespace it is in; none for the host's.
    #[serde(default)]
    pub sandbox: Option<String>,
}

/// An address that ADD gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// With its prefix.
    pub address: IpNet,
    /// The next hop, if there is one.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// An index into the result's interfaces.
    #[serde(default)]
    pub interface: Option<usize>,
}

/// A route in the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub dst: IpNet,
    /// The next hop; none is "on the link".
    #[serde(default)]
    pub gw: Option<IpAddr>,
    /// The route's MTU in bytes, if it has one of its own.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// What ADD did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The host's side, then the pod's.
    pub interfaces: Vec<Interface>,
    /// The pod's addresses.
    pub ips: Vec<Ip>,
    /// The pod's routes.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// An error as the specification shapes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One of [`code`].
    pub code: u32,
    /// What failed: runtimes show it in the pod's events.
    pub msg: String,
    /// What the operator can look at or do; libcni prints it behind the message.
    #[serde(default)]
    pub details: String,
}

impl Failure {
    /// An error without details.
    pub fn new(code: u32, msg: impl Into<String>) -> Failure {
        Failure { code, msg: msg.into(), details: String::new() }
    }

    /// The same error, with details.
    pub fn details(mut self, details: impl Into<String>) -> Failure {
        self.details = details.into();
        self
    }
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// ADD's result.
    Added(Added),
    /// Any other command: done.
    Done,
    /// It failed.
    Error(Failure),
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        Response::Error(failure)
    }
}

#[derive(Serialize)]
struct Out<'a, T> {
    protocol: u32,
    body: &'a T,
}

#[derive(Deserialize)]
struct In {
    protocol: u32,
    body: serde_json::Value,
}

/// A message as one line, its newline included.
pub fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Out { protocol: PROTOCOL, body })
        .expect("the protocol's types have string keys only, and serialize to memory");
    line.push(b'\n');
    line
}

/// Reads a message; its newline may be there or not.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failure> {
    let garbage = |e| Failure::new(code::DECODE, format!("not a message of this protocol: {e}"));
    let message: In = serde_json::from_slice(line).map_err(garbage)?;
    if message.protocol > PROTOCOL {
        let msg = format!(
            "the other side speaks version {} of the plugin protocol, this one up to {PROTOCOL}",
            message.protocol
        );
        return Err(Failure::new(code::TRY_AGAIN, msg)
            .details("fairlead-cni and the agent are of different versions: restart the agent, which installs its own plugin"));
    }
    serde_json::from_value(message.body).map_err(garbage)
}

#[cfg(test)]
mod tests;
