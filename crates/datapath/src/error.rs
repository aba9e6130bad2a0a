//! What can go wrong with the datapath, in sentences for operators.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel is too old.
    #[error(
        "kernel {0} is too old: Fairlead needs Linux 6.6 or newer (tcx); upgrade the node's kernel"
    )]
    Kernel(String),
    /// No bpffs.
    #[error(
        "there is no BPF file system at {path} and none can be mounted ({source}): run `mount -t bpf bpf {path}` on the node, or give the agent its hostPath and CAP_SYS_ADMIN, or set `bpffs` to where there is one"
    )]
    Bpffs { path: PathBuf, source: io::Error },
    /// No cgroup v2.
    #[error(
        "there is no cgroup v2, which Services need: boot the node with systemd.unified_cgroup_hierarchy=1, or run `mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified` on it, or set `cgroup` to where one is mounted"
    )]
    NoCgroup,
    /// The cgroup directory is not usable.
    #[error(
        "{path} is no cgroup v2 directory ({source}): check `cgroup` in the configuration and the agent's hostPath /sys/fs/cgroup, or leave `cgroup` out to have it found"
    )]
    Cgroup { path: PathBuf, source: io::Error },
    /// Missing rights.
    #[error(
        "the kernel does not let the agent load the datapath: run it privileged (securityContext.privileged) as root of the node, not of a user namespace"
    )]
    Permission,
    /// The object could not be loaded.
    #[error("the datapath could not be loaded into the kernel: {0}")]
    Load(String),
    /// The configuration names a map that is none, or a size that none can have.
    #[error("maps.{name}: {why}")]
    Size { name: String, why: String },
    /// A map could not be made.
    #[error(
        "map {name} could not be made: {source}: lower `maps.{name}` in the configuration, or give the node more memory"
    )]
    MapCreate { name: String, source: io::Error },
    /// A pinned map of another shape.
    #[error(
        "the pinned map {path} has another shape ({found}) than this version needs ({wanted}): go back to the version that made it, or run `fairlead cleanup` on the node, which takes its pods' network away, and recreate its pods"
    )]
    MapShape { path: PathBuf, found: String, wanted: String },
    /// A link could not be made.
    #[error("program {program} could not be attached to {target}: {source}")]
    Attach { program: &'static str, target: String, source: io::Error },
    /// A map operation failed.
    #[error("map {map}: {operation}: {message}")]
    Map { map: &'static str, operation: &'static str, message: String },
    /// A map is full.
    #[error(
        "map {map} is full ({max} entries): {what} could not be stored; raise `maps.{map}` in the configuration"
    )]
    Full { map: &'static str, max: u32, what: String },
    /// A file operation.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn map(
        map: &'static str,
        operation: &'static str,
        e: impl std::fmt::Display,
    ) -> Self {
        Error::Map { map, operation, message: e.to_string() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
