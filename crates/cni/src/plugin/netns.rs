//! The pod's network namespace.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{self, CWD, Mode, OFlags};

use crate::protocol::{Failure, code};

/// The magic number of the filesystem that namespaces are files of (linux/magic.h).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Opens the namespace at `path`, and refuses what is none, or is the one we are in: the pod's
/// addresses and default route would become the node's.
pub(super) fn open(path: &str) -> Result<OwnedFd, Failure> {
    // Not blocking: a path that names a FIFO must not stop us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let netns = fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|e| failure(code::INVALID_ENVIRONMENT, path, io::Error::from(e).to_string()))?;
    let io = |e: rustix::io::Errno| failure(code::IO, path, io::Error::from(e).to_string());
    if fs::fstatfs(&netns).map_err(io)?.f_type != NSFS_MAGIC {
        let why = "it is not a network namespace".into();
        return Err(failure(code::INVALID_ENVIRONMENT, path, why));
    }
    let theirs = fs::fstat(&netns).map_err(io)?;
    let ours = fs::stat("/proc/self/ns/net").map_err(io)?;
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) {
        let why = "it is the namespace that the plugin runs in".into();
        return Err(failure(code::INVALID_ENVIRONMENT, path, why));
    }
    Ok(netns)
}

fn failure(code: u32, path: &str, why: String) -> Failure {
    Failure::new(code, format!("cannot use CNI_NETNS {path}: {why}"))
}
