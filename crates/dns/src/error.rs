//! What can go wrong outside of a question's answer.

use std::io;
use std::net::SocketAddr;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster's domain is not a domain name.
    #[error(
        "cluster domain '{0}' is not a domain name: set it as the kubelet's clusterDomain, such as cluster.local"
    )]
    ClusterDomain(String),
    /// An address can't be listened on.
    #[error("DNS cannot listen on {address} ({protocol}): {source}; {}", hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the other DNS server that listens there",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: add it to the container's capabilities"
        }
        _ => "check that the address is one that this node can have",
    }
}
