//! Network namespaces: enter one on a thread of its own, make and remove them for tests.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::{Error, Result};

/// Where `ip netns` looks for names.
const NAMES: &str = "/run/netns";

/// Runs `work` in the network namespace `netns` and waits for it.
///
/// On a thread of its own: a namespace belongs to a thread, and a tokio worker would carry it into
/// other tasks. Blocking; a panic of `work` goes on in the caller.
///
/// # Errors
/// When `netns` is not a network namespace or may not be entered.
pub fn in_netns<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, || enter(netns).map(|()| work()))
            .map_err(Error::io("start a thread"))?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves the calling thread into `netns`. Only for threads that end with their work.
pub(crate) fn enter(netns: BorrowedFd<'_>) -> Result<()> {
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
        .map_err(Error::system("enter the network namespace"))
}

/// The network namespace of the calling thread.
pub(crate) fn current() -> Result<OwnedFd> {
    let path = "/proc/thread-self/ns/net";
    File::open(path).map(OwnedFd::from).map_err(Error::io(format!("open {path}")))
}

/// Whether both are the same namespace: the inode of nsfs names it.
pub(crate) fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool> {
    let stat = |fd| rustix::fs::fstat(fd).map_err(Error::system("examine a network namespace"));
    let (one, other) = (stat(one)?, stat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// A network namespace that lives as long as this value (and whatever runs inside).
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    path: Option<PathBuf>,
}

impl Netns {
    /// A new namespace without a name: nothing of it can stay behind, not even after kill -9.
    ///
    /// # Errors
    /// When the process may not make namespaces.
    pub fn unnamed() -> Result<Self> {
        let worker = thread::Builder::new()
            .name("netns".into())
            .spawn(|| {
                unshare_network()?;
                current()
            })
            .map_err(Error::io("start a thread"))?;
        let fd = worker.join().map_err(|_| Error::Panicked)??;
        Ok(Self { fd, path: None })
    }

    /// A new namespace with a name, as `ip netns add` makes it. Dropped, the name is removed.
    ///
    /// # Errors
    /// When the name exists, or the process may not make namespaces or mounts.
    pub fn create(name: &str) -> Result<Self> {
        let path = named(name)?;
        let mut netns = Self::unnamed()?;
        make_names_directory()?;
        File::create_new(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let source = format!("/proc/self/fd/{}", raw(&netns.fd));
        if let Err(errno) = mount_bind(&source, &path) {
            let _ = fs::remove_file(&path);
            return Err(Error::system(format!("mount a namespace on {}", path.display()))(errno));
        }
        netns.path = Some(path);
        Ok(netns)
    }

    /// Opens the namespace of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(name: &str) -> Result<OwnedFd> {
        let path = named(name)?;
        File::open(&path).map(OwnedFd::from).map_err(Error::io(format!("open {}", path.display())))
    }

    /// Removes a name; one that is gone is done.
    ///
    /// # Errors
    /// When it is there and cannot be unmounted or removed.
    pub fn delete(name: &str) -> Result<()> {
        let path = named(name)?;
        remove(&path)
    }

    /// Runs `work` inside, see [`in_netns`].
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        in_netns(self.fd.as_fd(), work)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = remove(path)
        {
            tracing::warn!(%error, "a network namespace's name stays behind");
        }
    }
}

fn named(name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(Error::InvalidName(name.into()));
    }
    Ok(Path::new(NAMES).join(name))
}

fn remove(path: &Path) -> Result<()> {
    match unmount(path, UnmountFlags::DETACH) {
        // Not mounted (half-made) or not there.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(Error::system(format!("unmount {}", path.display()))(errno)),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// As `ip netns add` does: a mount of its own that is shared, so that a name removed here is
/// removed in other mount namespaces too and its namespace does not live on there.
fn make_names_directory() -> Result<()> {
    fs::create_dir_all(NAMES).map_err(Error::io(format!("create {NAMES}")))?;
    let share = || mount_change(NAMES, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    if share().is_ok() {
        return Ok(());
    }
    mount_bind(NAMES, NAMES).and_then(|()| share()).map_err(Error::system(format!("mount {NAMES}")))
}

fn raw(fd: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd()
}

#[allow(unsafe_code, reason = "unshare is unsafe for flags that unshare descriptors or memory")]
fn unshare_network() -> Result<()> {
    // SAFETY: only the network namespace is unshared; descriptor table and memory stay common.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(Error::system("make a network namespace"))
}
