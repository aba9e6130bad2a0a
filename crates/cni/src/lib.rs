//! CNI: the plugin that the container runtime starts, the agent's end of its socket, and the node's
//! addresses.
//!
//! - [`protocol`]: what plugin and agent say to each other.
//! - [`plugin`]: the plugin, whole but for `main` (CNI spec 1.1.0 and older). It blocks, and uses
//!   neither tokio nor threads: it has to start in a millisecond.
//! - [`server`]: the agent's end of the socket.
//! - [`spool`]: DELs that came while the agent was down.
//! - [`conf`]: the files that make the runtime call the plugin.
//! - [`ipam`]: which address a pod gets (pure), and the record of who has which (a file a pod).

mod error;
mod files;

pub mod conf;
pub mod ipam;
pub mod plugin;
pub mod protocol;
pub mod server;
pub mod spool;

pub use error::Error;
