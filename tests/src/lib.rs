//! A node harness without any cluster.
//!
//! A [`Lab`] is a switch, nodes and an outside host, each a network namespace. On a node run the real
//! agent, the real CNI plugin and the real datapath; the agent reads Kubernetes objects from its
//! standard input instead of an API server, and the lab writes them. What runs on a node, pods
//! included, runs in that node's own cgroup v2 directory and mount namespace, so that socket hooks,
//! pinned maps and configuration of one node never meet another's.
//!
//! Nothing has a name in the machine's own network namespace. Namespaces live as long as the
//! processes that hold them, and those end when this process does, however it ends; what remains
//! (cgroup directories, a folder of logs) is named `fairlead-test-<pid>-…` and is collected by a
//! watcher at once, or by the next run.

mod agent;
mod cgroup;
mod cni;
mod enter;
mod error;
mod holder;
mod host;
mod lab;
mod node;
mod node_agent;
pub mod objects;
mod output;
mod plain;
mod pod;
mod requirements;
mod sandbox;
mod shared;
mod spec;
mod state;
mod store;
mod underlay;
mod wait;
mod watcher;

pub use agent::agent_binary;
pub use cni::{Attachment, Cni};
pub use enter::Place;
pub use error::LabError;
pub use host::{Host, Running};
pub use lab::Lab;
pub use node::Node;
pub use output::Output;
pub use plain::{PlainPod, PlainRouting};
pub use pod::{Pod, PodSpec};
pub use requirements::{missing, skip};
pub use sandbox::Sandbox;
pub use shared::{Entered, Shared};
pub use spec::{Family, LabSpec, Routing, Underlay};
pub use wait::eventually;
