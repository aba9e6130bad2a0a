//! What can go wrong, in sentences for the operator.

use std::io;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// The verb: "write", "read", …
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent answers on the socket.
    #[error(
        "another agent answers on {}: only one can run on a node; stop it first, or look for a \
         second DaemonSet (kubectl get pods -A -l app=fairlead-agent -o wide)",
        path.display()
    )]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// A CIDR that no pod could be given an address from.
    #[error("pod CIDR {cidr} cannot be used: {why}")]
    Cidr {
        /// The CIDR as given.
        cidr: String,
        /// Why, and what would do.
        why: String,
    },
    /// The node has no CIDR at all.
    #[error(
        "this node has no pod CIDR yet: start kube-controller-manager with \
         --allocate-node-cidrs --cluster-cidr=…, or set the CIDRs for Fairlead's controller"
    )]
    NoCidr,
    /// Every address of a family is in use.
    #[error(
        "no free address in {cidrs}: {in_use} of {usable} are in use; delete pods, lower the \
         kubelet's maxPods, or give the node a larger pod CIDR"
    )]
    Full {
        /// The CIDRs of that family.
        cidrs: String,
        /// Addresses in use.
        in_use: u128,
        /// Addresses that pods can have.
        usable: u128,
    },
    /// A container id or interface name that could not be a file name.
    #[error("{0}")]
    Name(String),
}

impl Error {
    /// For `map_err`: names the operation and the path.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { doing, path: path.to_path_buf(), source }
    }
}
