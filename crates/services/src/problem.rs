//! What keeps a Service from working as its author means it.

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

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::AddressTaken { addr, by } => {
                write!(f, "cluster IP {addr} belongs to Service {by}: delete one of the two")
            }
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
