//! A network namespace, a mount namespace and a bpffs of a test's own, which go with it.

#![allow(unsafe_code, reason = "unshare(2) has no safe interface")]

use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::UnshareFlags;

struct Bpffs(tempfile::TempDir);

impl Bpffs {
    fn mount() -> Self {
        let dir = tempfile::Builder::new().prefix("fairlead-datapath-").tempdir().unwrap();
        rustix::mount::mount("bpf", dir.path(), "bpf", MountFlags::empty(), c"mode=700").unwrap();
        Bpffs(dir)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _gone = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// Runs `test` with the path of a bpffs, on a thread with namespaces of its own. Without root this
/// is a loud skip, and a failure where CI is set.
pub fn with_bpffs(name: &str, test: impl FnOnce(&Path) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "{name} needs root, which CI must have");
        eprintln!("SKIPPED: {name} needs root");
        return;
    }
    let thread = std::thread::spawn(move || {
        // SAFETY: no file descriptor tables are unshared.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
            .expect("namespaces can be made");
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change("/", private).unwrap();
        let bpffs = Bpffs::mount();
        test(bpffs.0.path());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with words.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {error}");
}

/// A device that is up, with a peer that nobody uses. Answers its index.
pub fn device(name: &str, mtu: usize) -> u32 {
    ip(&format!("link add {name} mtu {mtu} type veth peer name {name}-peer mtu {mtu}"));
    // the frames' destination: others are not for this host
    ip(&format!("link set {name} address 02:00:00:00:00:aa up"));
    ip(&format!("link set {name}-peer up"));
    let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    rustix::net::netdevice::name_to_index(any, name).expect("the device was just made")
}
