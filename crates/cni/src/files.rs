//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes `bytes` beside `path` and renames it there: a reader sees the old file or the new one.
/// Synced before the rename, since a disk may keep the name of a file whose bytes it lost (on
/// tmpfs, where most of ours are, this costs nothing).
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = temporary(path);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        // The mode given to open is cut by the umask, and ignored where a file was left over.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::file("write", path)(source)
    })
}

/// The name that a file has until it is whole: hidden, and of no kind that a container runtime
/// loads (libcni takes `.conf`, `.conflist` and `.json`).
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// Whether a file of this name is one of [`write_atomic`] that was never finished.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes a file; that it is not there is as good. Says whether it was.
pub(crate) fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::file("remove", path)(e)),
    }
}

/// The names in a directory, sorted by bytes; none when there is no such directory.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::file("list", dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::file("list", dir))?.file_name();
        // What is not UTF-8 is not ours.
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, limit + 1), &mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {limit} bytes"),
            ));
        }
        Ok(bytes)
    };
    read().map_err(Error::file("read", path))
}

/// Puts a file that is not what it should be out of the way, for a person to look at.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.aside"));
    fs::rename(path, &aside).map_err(Error::file("rename", path))?;
    Ok(aside)
}
