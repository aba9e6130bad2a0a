#![allow(
    unsafe_code,
    reason = "namespaces are entered between fork and exec, which is unsafe to hook"
)]
//! Where a command runs: cgroup, network namespace, mount namespace.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::LabError;

/// The cgroup and namespaces that a command enters, in this order, before it is executed.
///
/// The cgroup comes first because a socket keeps the cgroup it was made in.
#[derive(Clone, Debug, Default)]
pub struct Place {
    procs: Option<Arc<File>>,
    net: Option<Arc<File>>,
    mnt: Option<Arc<File>>,
    unshare: libc::c_int,
    cpu: Option<usize>,
}

impl Place {
    /// Here: no namespace or cgroup is entered.
    pub fn here() -> Self {
        Self::default()
    }

    /// Enters the cgroup v2 directory `dir`.
    pub fn in_cgroup(mut self, dir: &Path) -> Result<Self, LabError> {
        let path = dir.join("cgroup.procs");
        let file = OpenOptions::new().write(true).open(&path);
        self.procs = Some(Arc::new(file.map_err(|e| LabError::file("opening", path, e))?));
        Ok(self)
    }

    /// Stays in the cgroup of this process: socket hooks of a node don't see the command.
    pub fn outside_cgroup(mut self) -> Self {
        self.procs = None;
        self
    }

    /// Enters the network namespace of process `pid`.
    pub fn in_net_of(mut self, pid: u32) -> Result<Self, LabError> {
        self.net = Some(namespace(pid, "net")?);
        Ok(self)
    }

    /// Enters the mount namespace of process `pid`.
    pub fn in_mounts_of(mut self, pid: u32) -> Result<Self, LabError> {
        self.mnt = Some(namespace(pid, "mnt")?);
        Ok(self)
    }

    /// Gets a network namespace of its own.
    pub fn with_own_net(mut self) -> Self {
        self.unshare |= libc::CLONE_NEWNET;
        self
    }

    /// Gets a mount namespace of its own.
    pub fn with_own_mounts(mut self) -> Self {
        self.unshare |= libc::CLONE_NEWNS;
        self
    }

    /// Runs on this CPU only.
    pub fn on_cpu(mut self, cpu: usize) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// A command that will run in this place.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let place = self.clone();
        let mut command = Command::new(program);
        // SAFETY: between fork and exec the closure makes system calls only (write, setns, unshare,
        // sched_setaffinity) on descriptors it owns; it neither allocates nor takes locks.
        unsafe { command.pre_exec(move || place.enter()) };
        command
    }

    fn enter(&self) -> io::Result<()> {
        if let Some(procs) = &self.procs {
            // SAFETY: the buffer is one static byte; "0" means the writer (cgroups(7)).
            check(unsafe {
                libc::write(procs.as_raw_fd(), c"0".as_ptr().cast(), 1) as libc::c_int
            })?;
        }
        for (file, kind) in [(&self.net, libc::CLONE_NEWNET), (&self.mnt, libc::CLONE_NEWNS)] {
            if let Some(file) = file {
                // SAFETY: a descriptor that is open; the process has one thread after fork.
                check(unsafe { libc::setns(file.as_raw_fd(), kind) })?;
            }
        }
        if self.unshare != 0 {
            // SAFETY: no memory is shared or touched.
            check(unsafe { libc::unshare(self.unshare) })?;
        }
        if let Some(cpu) = self.cpu {
            pin_to_cpu(cpu)?;
        }
        Ok(())
    }
}

fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set, and the set outlives the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set))
    }
}

fn namespace(pid: u32, kind: &str) -> Result<Arc<File>, LabError> {
    let path = format!("/proc/{pid}/ns/{kind}");
    File::open(&path).map(Arc::new).map_err(|e| LabError::file("opening", path, e))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Kills process `pid`, which the caller started.
pub(crate) fn kill(pid: u32, signal: libc::c_int) {
    // SAFETY: a signal to a process; no memory is involved.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}
