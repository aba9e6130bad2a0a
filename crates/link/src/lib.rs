//! The node's links, routes and namespaces: the only crate that touches netlink.
//!
//! Every operation makes the kernel equal to a wish: called again it changes nothing, called on
//! something half-made it completes or remakes it. Teardown takes what is gone for done.
//!
//! A [`Handle`] belongs to a network namespace. Each call runs on a thread of its own that enters
//! that namespace (`setns` would follow a tokio worker into the next task) and talks to the kernel
//! by blocking netlink sockets: a pod's whole side is then one `sendmsg`, and a socket
//! stays bound to the namespace it was opened in.

mod attach;
mod compare;
mod detach;
mod device;
mod error;
mod ethtool;
mod handle;
mod lo;
mod message;
mod netns;
mod overlap;
mod pod;
mod query;
mod routes;
mod sysctl;
mod view;
mod vxlan;
mod watch;
mod wire;

pub use device::{Device, PodLinkState};
pub use error::{Error, Result};
pub use ethtool::Offloads;
pub use handle::Handle;
pub use netns::{Netns, in_netns};
pub use pod::{
    HOST_MAC, POD_GATEWAY_V4, POD_GATEWAY_V6, PodLink, PodLinkSpec, host_link_name,
    is_host_link_name,
};
pub use query::NextHop;
pub use routes::{Changes, Conflict, Route, RouteKind};
pub use vxlan::{TUNNEL_MAC, VxlanSpec};

/// The routing protocol number (`rtm_protocol`) of every route that Fairlead makes on a node, and
/// the address protocol (`IFA_PROTO`) of its addresses on `lo`: `ip route show proto 102`.
pub const PROTOCOL: u8 = 0x66;
