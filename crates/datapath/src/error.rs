//! What can go wrong with the datapath, in sentences for operators.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel is too old.
    #[error("kernel {0} is too old: Fairlead needs Linux 6.6 or newer (tcx); upgrade the node's kernel")]
    Kernel(String),
    /// No bpffs.
    #[error(
        "no BPF file system at {path} and none could be mounted ({source}): run `mount -t bpf bpf {path}` on the node, or give the agent CAP_SYS_ADMIN and the hostPath with Bidirectional propagation"
    )]
    Bpffs { path: PathBuf, source: io::Error },
    /// No cgroup v2.
    #[error(
        "no cgroup v2 hierarchy is mounted on this node: Services at the socket need it; mount one (`mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`) or boot with systemd.unified_cgroup_hierarchy=1"
    )]
    NoCgroup,
    /// The cgroup directory is not usable.
    #[error("cgroup v2 directory {path}: {source}: check the agent's hostPath /sys/fs/cgroup or the configuration key `cgroup`")]
    Cgroup { path: PathBuf, source: io::Error },
    /// Missing rights.
    #[error(
        "the kernel refused to load the datapath (permission denied): run the agent privileged, or with CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Permission,
    /// The object could not be loaded.
    #[error("the datapath could not be loaded into the kernel: {0}")]
    Load(String),
    /// A pinned map of another shape.
    #[error(
        "pinned map {path} has another shape ({found}) than this version needs ({wanted}): it was made by another version with the same layout number; run `fairlead cleanup` on the node, which breaks connections that are being translated"
    )]
    MapShape { path: PathBuf, found: String, wanted: String },
    /// A link could not be made.
    #[error("program {program} could not be attached to {target}: {source}")]
    Attach { program: &'static str, target: String, source: io::Error },
    /// A map operation failed.
    #[error("map {map}: {operation}: {message}")]
    Map { map: &'static str, operation: &'static str, message: String },
    /// A map is full.
    #[error("map {map} is full ({max} entries): {what} could not be stored; raise `maps.{map}` in the configuration")]
    Full { map: &'static str, max: u32, what: String },
    /// A file operation.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn map(map: &'static str, operation: &'static str, e: impl std::fmt::Display) -> Self {
        Error::Map { map, operation, message: e.to_string() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
