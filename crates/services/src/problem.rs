//! What keeps a Service from working as its author means it.

use std::net::IpAddr;

use fairlead_model::{Addr, ObjectName};

/// A fault of a Service, in a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The cluster address is served for another Service.
    AddressTaken {
        /// The address.
        addr: Addr,
        /// The Service that has it: the first by name.
        by: ObjectName,
    },
    /// The cluster address is one that only a single host can mean: serving it would take it away.
    AddressUnusable {
        /// The address.
        addr: Addr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// Two ports have the same number and protocol: the later is not served.
    DuplicatePort {
        /// Name of the port that is not served.
        port_name: String,
    },
    /// SCTP endpoints listen on another port than the Service's. An SCTP association carries its
    /// addresses in the payload and its checksum covers the ports, so only the address is replaced.
    SctpPort {
        /// The Service's port.
        port: u16,
        /// The endpoints' port.
        target: u16,
    },
    /// More endpoints than a port can have; those after the first [`crate::MAX_BACKENDS`] get nothing.
    TooManyBackends {
        /// The Service's port.
        port: u16,
        /// How many there are.
        count: usize,
    },
}

/// What kind of address this is, if it is one that means another host to each host.
pub(crate) fn special(addr: &Addr) -> Option<&'static str> {
    match addr.ip() {
        ip if ip.is_unspecified() => Some("the unspecified address"),
        ip if ip.is_loopback() => Some("a loopback address"),
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::AddressTaken { addr, by } => {
                write!(f, "cluster IP {addr} belongs to Service {by}: delete one of the two")
            }
            Problem::AddressUnusable { addr, kind } => write!(
                f,
                "cluster IP {addr} is {kind} and is not served: the API server's \
                 --service-cluster-ip-range must be a range of its own"
            ),
            Problem::DuplicatePort { port_name } => write!(
                f,
                "port {port_name:?} has the number and protocol of an earlier port: give it another number"
            ),
            Problem::SctpPort { port, target } => write!(
                f,
                "SCTP port {port} has endpoints on port {target}, which cannot be translated: \
                 set targetPort to {port}"
            ),
            Problem::TooManyBackends { port, count } => write!(
                f,
                "port {port} has {count} endpoints, of which the first {} are used: \
                 split the Service",
                crate::MAX_BACKENDS
            ),
        }
    }
}
