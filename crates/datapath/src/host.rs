//! What the node must have, checked at start, each with a sentence that says what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::Error;

const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const CGROUP2_MAGIC: i64 = 0x6367_7270;
const MINIMUM: (u32, u32) = (6, 6);

/// The running kernel's release, or an error when it is too old.
pub fn check_kernel() -> Result<String, Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if parse_release(&release).is_none_or(|version| version < MINIMUM) {
        return Err(Error::Kernel(release));
    }
    Ok(release)
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Sees to it that `path` is a bpffs, mounting one where there is none. Answers whether it mounted.
pub fn ensure_bpffs(path: &Path) -> Result<bool, Error> {
    let error = |source| Error::Bpffs { path: path.to_owned(), source };
    let made = !path.exists();
    fs::create_dir_all(path).map_err(error)?;
    if is_a(path, BPF_FS_MAGIC).map_err(error)? {
        return Ok(false);
    }
    let mounted = rustix::mount::mount("bpf", path, "bpf", MountFlags::empty(), c"mode=700");
    if mounted.is_err() && made {
        let _ = fs::remove_dir(path);
    }
    mounted.map(|()| true).map_err(|e| error(e.into()))
}

/// Takes back the mount of [`ensure_bpffs`], with what is pinned in it.
pub fn unmount_bpffs(path: &Path) -> Result<(), Error> {
    let error = |e: rustix::io::Errno| Error::Bpffs { path: path.to_owned(), source: e.into() };
    rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(error)
}

/// Whether `path` is in a file system of this kind (statfs(2)).
fn is_a(path: &Path, magic: i64) -> io::Result<bool> {
    // the magic number is wider than the field on some architectures
    Ok((rustix::fs::statfs(path)?.f_type as i64 & 0xffff_ffff) == magic)
}

/// Refuses what is not a directory of cgroup v2.
pub fn check_cgroup(path: &Path) -> Result<(), Error> {
    let error = |source| Error::Cgroup { path: path.to_owned(), source };
    if !is_a(path, CGROUP2_MAGIC).map_err(error)? {
        return Err(error(io::Error::other("it is of another file system than cgroup2")));
    }
    if !path.is_dir() {
        return Err(error(io::ErrorKind::NotADirectory.into()));
    }
    Ok(())
}

/// The cgroup v2 directory under `root` (where the node's /sys/fs/cgroup is seen), from mountinfo.
pub fn find_cgroup(root: &Path) -> Result<PathBuf, Error> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let found = cgroup_mount(&text, root).ok_or(Error::NoCgroup)?;
    // a mount that another hides is in the table all the same
    if !is_a(&found, CGROUP2_MAGIC).unwrap_or(false) {
        return Err(Error::NoCgroup);
    }
    Ok(found)
}

/// proc_pid_mountinfo(5): fields before " - " are ours, the file system's type follows it. The mount
/// nearest to `root` wins, the last of those made over one another.
fn cgroup_mount(mountinfo: &str, root: &Path) -> Option<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, fs) = line.split_once(" - ")?;
            (fs.split(' ').next()? == "cgroup2").then(|| mount.split(' ').nth(4))?
        })
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(root))
        .reduce(
            |best, next| {
                if next.components().count() <= best.components().count() { next } else { best }
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_of_distributions_are_read() {
        assert_eq!(parse_release("6.6.0-rc1"), Some((6, 6)));
        assert_eq!(parse_release("6.12.9-amd64"), Some((6, 12)));
        assert_eq!(parse_release("nonsense"), None);
        assert!(parse_release("6.1.0-22-amd64").unwrap() < MINIMUM);
        assert!(parse_release("10.0.1").unwrap() > MINIMUM);
    }

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu rw shared:6 - cgroup cgroup rw,cpu
60 25 0:27 / /host/sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_cgroup_mount_under_the_given_root_is_found() {
        let find = |root: &str| cgroup_mount(HYBRID, Path::new(root));
        assert_eq!(find("/host"), Some("/host/sys/fs/cgroup/unified".into()));
        assert_eq!(find("/sys"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(find("/elsewhere"), None);
    }
}
