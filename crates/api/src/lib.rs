//! The API server, for everybody who is not to know kube-rs.
//!
//! - [`connect`] finds the API server from a node that has no network yet, and says what it tried.
//! - [`watch()`] turns the objects that a network reads into [`fairlead_model::Event`]s, one object at
//!   a time: nothing is kept here but the last value of each Node.
//! - [`lease`] elects one leader among replicas.
//! - [`objects`] makes and changes the few objects that the controller decides about.
//! - [`removal`] deletes those of the manifest, and [`rollout`] tells how far a DaemonSet's pods are.
//!
//! Nothing here reads the environment: what comes from it is in [`Options`].

mod backoff;
mod candidates;
mod connect;
mod error;
mod follow;
mod health;
pub mod lease;
mod lines;
pub mod objects;
pub mod removal;
pub mod rollout;
#[cfg(test)]
mod scripted;
mod slim;
mod watch;

pub use connect::{Connection, Options, connect};
pub use error::{Error, explain};
pub use health::{Health, KindHealth, LastError};
pub use kube::Client;
pub use watch::{Watch, WatchOptions, watch};
