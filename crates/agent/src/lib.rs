//! One node: what the watches say becomes tables, and the kernel is made equal to them.
//!
//! [`run`] is the agent. A single task ([`node`]) owns all state; the plugin's socket, the local
//! socket and the web server send it messages. A start, a restart and an upgrade are the same: read
//! what the kernel and the records have, compare, apply. [`cleanup`] is the way back.

#![allow(missing_docs, reason = "fields and variants say what they are; the modules have the rest")]

pub mod cleanup;
pub mod config;
pub mod local;
pub mod objects;

mod clock;
mod error;
mod flows;
mod jobs;
mod names;
mod network;
mod node;
mod pods;
mod start;
mod status;
mod store;
mod undo;
mod ways;
mod web;

use std::time::Duration;

pub use config::Config;
pub use error::Error;
pub use start::run;

pub(crate) const NOT_POISONED: &str = "no holder of this lock panics";

/// How the connection to the API is.
#[derive(Clone, Debug, Default)]
pub struct ApiHealth {
    /// The server's URL, or what stands for it.
    pub server: String,
    pub connected: bool,
    /// Since when it is so.
    pub since: Duration,
    pub error: Option<String>,
}

/// Where objects come from, for status.
pub struct Source {
    pub health: Box<dyn Fn() -> ApiHealth + Send + Sync>,
}
