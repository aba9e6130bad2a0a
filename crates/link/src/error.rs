//! What can go wrong, in sentences for the operator.

use std::io;

/// What this crate's calls return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a link, route, address or sysctl is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a netlink request.
    #[error("cannot {what}: {source}{}{}", detail.as_deref().map(|text| format!(" ({text})")).unwrap_or_default(), hint(source))]
    Kernel {
        /// What was tried, on what: "add route 10.0.0.0/24 to device 3".
        what: String,
        /// The kernel's answer.
        source: io::Error,
        /// The kernel's own explanation (extended acknowledgement), if it gave one.
        detail: Option<String>,
    },
    /// A netlink answer could not be understood.
    #[error("cannot understand the kernel's answer to '{what}': {why}")]
    Answer {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// A system call other than a netlink request failed.
    #[error("cannot {what}: {source}{}", hint(source))]
    System {
        /// What was tried, on what.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The pod's namespace has another interface of the wanted name.
    #[error(
        "container already has {name}: another network plugin, or an earlier one, made it; recreate the pod"
    )]
    NameTaken {
        /// The interface's name inside the pod.
        name: String,
    },
    /// A name that no network interface can have.
    #[error(
        "'{0}' cannot be an interface's name: 1 to 15 bytes, no '/', ':' or white space, not '.' or '..'"
    )]
    InvalidName(String),
    /// The namespace given as a pod's is the node's own.
    #[error(
        "the namespace given for the pod is the node's own: a pod of the host's network needs no link"
    )]
    HostNamespace,
    /// A sysctl could not be read or set.
    #[error("cannot {action} sysctl {name}: {source}{}", sysctl_hint(source))]
    Sysctl {
        /// "read" or "set ... to ...", for the sentence.
        action: String,
        /// The sysctl's path below /proc/sys.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A pod's link exists but is not as it was made.
    #[error("the pod's link is not as it was made: {}", .0.join("; "))]
    NotAsWanted(Vec<String>),
    /// No route leads to an address.
    #[error("no route to {0}: check the node's routes (ip route get {0})")]
    NoRoute(std::net::IpAddr),
    /// There is no such network device.
    #[error("there is no network device '{0}'")]
    NoDevice(String),
    /// The thread that did the work panicked.
    #[error("a thread that worked on links panicked; its message is in the log")]
    Panicked,
}

impl Error {
    /// The kernel's error number, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Kernel { source, .. }
            | Self::System { source, .. }
            | Self::Sysctl { source, .. } => rustix::io::Errno::from_io_error(source),
            _ => None,
        }
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let what = what.into();
        move |errno| Self::System { what, source: errno.into() }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// Only EPERM: EACCES has other reasons, for example IPv6 turned off on a device.
fn hint(source: &io::Error) -> &'static str {
    if rustix::io::Errno::from_io_error(source) == Some(rustix::io::Errno::PERM) {
        "; Fairlead's agent needs CAP_NET_ADMIN and CAP_SYS_ADMIN (securityContext.privileged)"
    } else {
        ""
    }
}

fn sysctl_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; /proc/sys must be writable (securityContext.privileged)"
        }
        _ => "",
    }
}
