//! Programs on their hooks, by pinned links: a link that is there gets the new program in place, so
//! that no packet and no socket call passes unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use aya::Ebpf;
use aya::programs::Program;
use aya_obj::generated::bpf_attach_type;

use crate::Error;
use crate::load::Pins;
use crate::sys::{self, Attached, Target};

/// What a device is to the datapath: which programs it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The host's side of a pod's link.
    Pod,
    /// A device of the node.
    Uplink,
    /// The tunnel.
    Overlay,
}

impl Role {
    /// Programs at (ingress, egress).
    fn programs(self) -> (&'static str, &'static str) {
        match self {
            Role::Pod => ("fl_from_pod", "fl_to_pod"),
            Role::Uplink => ("fl_from_wire", "fl_to_wire"),
            Role::Overlay => ("fl_from_overlay", "fl_to_overlay"),
        }
    }
}

/// A device's hooks, as the names of pins end.
const SIDES: [&str; 2] = ["ingress", "egress"];

const SOCKET_PROGRAMS: &[(&str, bpf_attach_type)] = &[
    ("fl_connect4", bpf_attach_type::BPF_CGROUP_INET4_CONNECT),
    ("fl_connect6", bpf_attach_type::BPF_CGROUP_INET6_CONNECT),
    ("fl_sendmsg4", bpf_attach_type::BPF_CGROUP_UDP4_SENDMSG),
    ("fl_sendmsg6", bpf_attach_type::BPF_CGROUP_UDP6_SENDMSG),
    ("fl_recvmsg4", bpf_attach_type::BPF_CGROUP_UDP4_RECVMSG),
    ("fl_recvmsg6", bpf_attach_type::BPF_CGROUP_UDP6_RECVMSG),
    ("fl_getpeername4", bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME),
    ("fl_getpeername6", bpf_attach_type::BPF_CGROUP_INET6_GETPEERNAME),
];

/// Number of socket programs.
pub const SOCKET_PROGRAM_COUNT: usize = SOCKET_PROGRAMS.len();

fn program_fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, Error> {
    let missing = || Error::Load(format!("program {name} is not in the object"));
    let program = ebpf.program(name).ok_or_else(missing)?;
    let fd = match program {
        Program::SchedClassifier(p) => p.fd(),
        Program::CgroupSockAddr(p) => p.fd(),
        _ => return Err(missing()),
    };
    fd.map(AsFd::as_fd).map_err(|e| Error::Load(format!("{name}: {e}")))
}

/// Names the attachment and where it is to be.
struct Wanted<'a> {
    program: &'static str,
    target: Target<'a>,
    attached: Attached,
    attach_type: bpf_attach_type,
    name: &'a str,
}

fn attach(program: BorrowedFd<'_>, pin: &Path, wanted: &Wanted<'_>) -> Result<(), Error> {
    let error =
        |source| Error::Attach { program: wanted.program, target: wanted.name.to_owned(), source };
    match sys::open_pin(pin) {
        Ok(link) => {
            let there = sys::link_attached(link.as_fd()).map_err(error)?;
            if there == wanted.attached && sys::link_update(link.as_fd(), program).is_ok() {
                return Ok(());
            }
            // its device or cgroup is gone, and another has its name now
            fs::remove_file(pin).map_err(error)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(error(e)),
    }
    let link =
        sys::link_create(program, wanted.target, wanted.attach_type as u32).map_err(error)?;
    sys::pin(link.as_fd(), pin).map_err(error)
}

/// Puts programs on devices, from any thread; a clone is another handle to the same programs.
///
/// Its calls block. A program's first attachment waits until all CPUs have left the hook as it was
/// (a grace period of RCU, some ten milliseconds; tcx_entry_sync in kernel/bpf/tcx.c) with the lock
/// of all network devices held, for which every other call here waits in turn.
#[derive(Clone, Debug)]
pub struct Attacher {
    programs: Arc<BTreeMap<&'static str, OwnedFd>>,
    pins: Pins,
}

impl Attacher {
    /// With descriptors of its own.
    pub(crate) fn new(ebpf: &Ebpf, pins: &Pins) -> Result<Self, Error> {
        let mut programs = BTreeMap::new();
        for role in [Role::Pod, Role::Uplink, Role::Overlay] {
            let (ingress, egress) = role.programs();
            for name in [ingress, egress] {
                let fd = program_fd(ebpf, name)?.try_clone_to_owned();
                programs.insert(name, fd.map_err(|e| Error::Load(format!("{name}: {e}")))?);
            }
        }
        Ok(Attacher { programs: Arc::new(programs), pins: pins.clone() })
    }

    /// Attaches a device's programs, in place of those that are there. When it returns, they see
    /// every packet.
    pub fn attach_device(&self, name: &str, ifindex: u32, role: Role) -> Result<(), Error> {
        let (ingress, egress) = role.programs();
        for (program, attach_type, side) in [
            (egress, bpf_attach_type::BPF_TCX_EGRESS, "egress"),
            (ingress, bpf_attach_type::BPF_TCX_INGRESS, "ingress"),
        ] {
            let wanted = Wanted {
                program,
                target: Target::Device(ifindex),
                attached: Attached::Device(ifindex),
                attach_type,
                name,
            };
            let fd = self.programs[program].as_fd();
            attach(fd, &self.pins.links().join(format!("{name}-{side}")), &wanted)?;
        }
        Ok(())
    }

    /// Detaches a device's programs; quick where the device is gone. Not there is fine.
    pub fn detach_device(&self, name: &str) -> Result<(), Error> {
        for side in SIDES {
            remove_pin(&self.pins.links().join(format!("{name}-{side}")))?;
        }
        Ok(())
    }

    /// Whether both programs of a device are attached.
    pub fn is_attached(&self, name: &str) -> bool {
        SIDES.iter().all(|side| lives(&self.pins.links().join(format!("{name}-{side}"))))
    }
}

/// Attaches the socket programs to a cgroup v2 directory.
pub fn attach_sockets(ebpf: &Ebpf, pins: &Pins, cgroup: &Path) -> Result<(), Error> {
    let error = |source| Error::Cgroup { path: cgroup.to_owned(), source };
    let dir = fs::File::open(cgroup).map_err(error)?;
    let id = dir.metadata().map_err(error)?.ino();
    let name = cgroup.display().to_string();
    for (program, attach_type) in SOCKET_PROGRAMS {
        let wanted = Wanted {
            program,
            target: Target::Cgroup(dir.as_fd()),
            attached: Attached::Cgroup(id),
            attach_type: *attach_type,
            name: &name,
        };
        attach(program_fd(ebpf, program)?, &pins.links().join(program), &wanted)?;
    }
    Ok(())
}

fn lives(pin: &Path) -> bool {
    let attached = sys::open_pin(pin).and_then(|link| sys::link_attached(link.as_fd()));
    matches!(attached, Ok(Attached::Device(1..) | Attached::Cgroup(1..)))
}

/// How many socket programs are attached.
pub fn sockets_attached(pins: &Pins) -> usize {
    SOCKET_PROGRAMS.iter().filter(|(name, _)| lives(&pins.links().join(name))).count()
}

/// Removes the links of all devices but those named: they are gone, or no longer ours.
pub fn prune_devices(pins: &Pins, keep: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let dir = pins.links();
    let mut pruned = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::file(&dir))?.flatten() {
        let Ok(file) = entry.file_name().into_string() else { continue };
        let Some((device, "ingress" | "egress")) = file.rsplit_once('-') else { continue };
        if !keep.contains(device) {
            remove_pin(&entry.path())?;
            pruned.push(file);
        }
    }
    Ok(pruned)
}

fn remove_pin(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file(path)(e)),
        _ => Ok(()),
    }
}

/// Removes every link and map: the node forwards as if Fairlead had never been there.
pub fn remove_all(pins: &Pins) -> Result<(), Error> {
    match fs::remove_dir_all(pins.root()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file(pins.root())(e)),
        _ => Ok(()),
    }
}
