//! What is decided once for a cluster, by the one replica that leads:
//!
//! - pod CIDRs of nodes, where Kubernetes gives none and the configuration names ranges;
//! - the `kube-dns` Service, where there is none, so that pods have an address to ask.
//!
//! [`core`] decides, without I/O; [`ipam`] and [`dns`] read and write the API. There is no state:
//! all of it is computed again from the Nodes and Services that exist.
//!
//! And, when a person asks for it, [`uninstall`].

mod config;
pub mod core;
mod dns;
mod ipam;
mod retry;
mod run;
pub mod uninstall;

pub use config::{Config, Dns, Error, Ipam};
pub use run::{Status, run};

/// The name under which Events are written.
const COMPONENT: &str = "fairlead-controller";
/// The Lease that elects the leader.
pub const LEASE: &str = "fairlead-controller";
