//! What the datapath does to a packet, in plain Rust: tables and a frame go in, a frame and a
//! verdict come out.
//!
//! Tests hold the programs under `bpf/` to this crate, so it is written from the specification and
//! for the reader: packets are parsed into structs, and checksums summed over whole packets.
//! Two choices are the kernel's to make at random, a backend and a masqueraded port. The caller says
//! what was chosen ([`Chosen`]), and the model says whether that may be.

mod checksum;
mod deliver;
mod error_message;
mod fragment;
mod frame;
mod hooks;
mod ip;
mod masquerade;
mod service;
mod tables;
mod verdict;

pub use frame::{Frame, Unreadable};
pub use hooks::{Hook, Input, from_overlay, from_pod, from_wire, run, to_overlay, to_pod, to_wire};
pub use ip::{Fragment, Ip, Transport, proto};
pub use tables::{
    Backend, Config, Endpoint, FragmentKey, FrontendKey, Gateway, Kind, Node, Tables, Translation,
    Tuple, Uplink, Way,
};
pub use verdict::{Action, Outcome, Reason, Unexplained, Verdict};

/// What the kernel chose for a flow that it had not seen: the tuple that the given one became, or
/// `None` where it stored nothing.
pub type Chosen<'a> = dyn Fn(&Tuple) -> Option<Tuple> + 'a;
