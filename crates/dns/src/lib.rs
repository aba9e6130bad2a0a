//! Names to answers: Kubernetes DNS-based service discovery, specification 1.1.0, and the server
//! that answers on a node.
//!
//! [`core`] is pure: a [`core::Zone`] is fed with the model's events and says what a name's records
//! are; `core::message` turns a question's bytes into an answer's. [`server`] is the shell: sockets,
//! bounds, counters, and questions about other names handed to the node's resolvers.
//! There is no cache: a forwarded answer is the resolver's own, every time.
//!
//! The wire format is `domain`'s: it reads a message in place and writes into one buffer, with 11
//! crates behind it where `hickory-proto` has 52.

pub mod core;
mod error;
pub mod server;

pub use error::Error;
