//! The bpf(2) calls that aya does not offer: links created, opened, updated in place and asked.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type};

fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: attr is a whole, initialised bpf_attr, and the pointers that callers put into it are
    // valid for the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            cmd as libc::c_int,
            std::ptr::from_mut(attr),
            std::mem::size_of::<bpf_attr>(),
        )
    };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain integers, for which zero is valid; the kernel wants unused bytes zero.
    unsafe { std::mem::zeroed() }
}

fn owned(fd: i64) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Where a link attaches.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A network device, by index.
    Device(u32),
    /// A cgroup v2 directory.
    Cgroup(BorrowedFd<'a>),
}

/// BPF_LINK_CREATE.
pub fn link_create(
    program: BorrowedFd<'_>,
    target: Target<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    match target {
        Target::Device(ifindex) => {
            attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
        }
        Target::Cgroup(fd) => {
            attr.link_create.__bindgen_anon_2.target_fd = fd.as_raw_fd() as u32;
        }
    }
    attr.link_create.attach_type = attach_type;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// BPF_LINK_UPDATE: the link runs the new program from the next packet or call on.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.link_update.link_fd = link.as_raw_fd() as u32;
    attr.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// BPF_OBJ_PIN.
pub fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = zeroed();
    // SAFETY: every variant of the union is plain integers, all of them zero so far.
    let obj = unsafe { &mut attr.__bindgen_anon_4 };
    obj.bpf_fd = fd.as_raw_fd() as u32;
    obj.pathname = path.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// BPF_OBJ_GET.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = zeroed();
    // SAFETY: as in pin().
    unsafe { &mut attr.__bindgen_anon_4 }.pathname = path.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attr).map(owned)
}

/// What a link says it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// A device; 0 when it is gone.
    Device(u32),
    /// A cgroup's id: the inode of its directory; 0 when it is gone.
    Cgroup(u64),
    /// Something that is not ours.
    Other,
}

/// BPF_OBJ_GET_INFO_BY_FD of a link.
pub fn link_attached(link: BorrowedFd<'_>) -> io::Result<Attached> {
    // SAFETY: plain integers, for which zero is valid.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = link.as_raw_fd() as u32;
    attr.info.info_len = std::mem::size_of::<bpf_link_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the kernel filled the variant that the type names.
    Ok(unsafe {
        if info.type_ == bpf_link_type::BPF_LINK_TYPE_TCX as u32 {
            Attached::Device(info.__bindgen_anon_1.tcx.ifindex)
        } else if info.type_ == bpf_link_type::BPF_LINK_TYPE_CGROUP as u32 {
            Attached::Cgroup(info.__bindgen_anon_1.cgroup.cgroup_id)
        } else {
            Attached::Other
        }
    })
}

/// BPF_MAP_LOOKUP_BATCH: up to `keys.len()` entries from after `from`. Answers how many there were
/// and where to go on, which is `None` at the end.
fn lookup_batch<K: aya::Pod, V: aya::Pod>(
    map: BorrowedFd<'_>,
    from: Option<[u8; 8]>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<(usize, Option<[u8; 8]>)> {
    assert_eq!(keys.len(), values.len(), "a key for every value");
    let (input, mut output) = (from, [0u8; 8]);
    let mut attr = zeroed();
    attr.batch.map_fd = map.as_raw_fd() as u32;
    attr.batch.in_batch = input.as_ref().map_or(0, |b| b.as_ptr() as u64);
    attr.batch.out_batch = output.as_mut_ptr() as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = keys.len() as u32;
    let result = bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr);
    // SAFETY: the kernel wrote the variant that we passed.
    let count = unsafe { attr.batch.count } as usize;
    match result {
        Ok(_) => Ok((count, Some(output))),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
        Err(e) => Err(e),
    }
}

/// Calls `f` with every entry of a map. Entries that come or go meanwhile may be missed or come twice.
pub fn each<K: aya::Pod + Default, V: aya::Pod + Default>(
    map: BorrowedFd<'_>,
    mut f: impl FnMut(K, V),
) -> io::Result<()> {
    const BATCH: usize = 4096;
    let (mut keys, mut values) = (vec![K::default(); BATCH], vec![V::default(); BATCH]);
    let mut from = None;
    loop {
        let (count, next) = lookup_batch(map, from, &mut keys, &mut values)?;
        for (key, value) in keys.iter().zip(&values).take(count) {
            f(*key, *value);
        }
        match next {
            Some(_) => from = next,
            None => return Ok(()),
        }
    }
}
