//! The files that make the container runtime call the plugin: the network configuration list and
//! the plugin's binary. A node is NotReady until the list is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::plugin::Version;
use crate::{Error, files};

/// The configuration list's name: runtimes take the first file, sorted by name.
pub const FILE: &str = "05-fairlead.conflist";

/// The plugin's name, which the configuration calls it by.
pub const PLUGIN: &str = "fairlead-cni";

/// What the configuration list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// The version that every runtime gets.
    pub cni_version: Version,
    /// Newer versions, for runtimes that know them (libcni 1.2 takes the highest of `cniVersions`
    /// that it knows; older ones pass the key over).
    pub newer: Vec<Version>,
    /// Where the agent listens, if not at the default; as the plugin sees it.
    pub socket: Option<PathBuf>,
    /// Where DELs wait, if not at the default; as the plugin sees it.
    pub spool: Option<PathBuf>,
}

impl Default for Conf {
    /// 1.0.0 and no newer: libcni 1.1 (containerd 1.6 and 1.7) can't read a result of 1.1.0, and
    /// with 1.1.0 newer runtimes ask STATUS, by which a node turns NotReady while its agent
    /// restarts; its pods, which are as well as before, would leave their Services.
    fn default() -> Self {
        Conf { cni_version: Version::V1_0_0, newer: Vec::new(), socket: None, spool: None }
    }
}

impl Conf {
    fn text(&self) -> String {
        let mut plugin = json!({ "type": PLUGIN });
        for (key, path) in [("socket", &self.socket), ("spool", &self.spool)] {
            if let Some(path) = path {
                plugin[key] = json!(path);
            }
        }
        let mut list = json!({
            "cniVersion": self.cni_version.as_str(),
            "name": "fairlead",
            "plugins": [plugin],
        });
        if !self.newer.is_empty() {
            let all = [self.cni_version].into_iter().chain(self.newer.iter().copied());
            list["cniVersions"] = all.map(Version::as_str).collect();
        }
        format!("{list:#}\n")
    }
}

/// Writes the configuration list into `dir`, unless it is there as it should be: each write makes
/// the runtime load its networks anew. Says whether it wrote.
pub fn write(dir: &Path, conf: &Conf) -> Result<bool, Error> {
    let (path, text) = (dir.join(FILE), conf.text());
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(false);
    }
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    files::write_atomic(&path, text.as_bytes(), 0o600)?;
    Ok(true)
}

/// Removes the configuration list. Says whether it was there.
pub fn remove(dir: &Path) -> Result<bool, Error> {
    files::remove(&dir.join(FILE))
}

/// The file that the runtime takes instead of ours, if there is one: it loads the first by name of
/// the kinds it knows, whoever wrote it (go-cni; CRI-O passes over those it can't read).
pub fn shadowed_by(dir: &Path) -> Result<Option<PathBuf>, Error> {
    let first = files::names(dir)?
        .into_iter()
        .take_while(|name| name.as_str() < FILE)
        .filter(|name| [".conf", ".conflist", ".json"].iter().any(|kind| name.ends_with(kind)))
        .map(|name| dir.join(name))
        .find(|path| !path.is_dir());
    Ok(first)
}

/// Copies the plugin's binary into `dir`, unless the same is there. A plugin that runs meanwhile
/// goes on with the old one. Says whether it wrote.
pub fn install(binary: &Path, dir: &Path) -> Result<bool, Error> {
    let path = dir.join(PLUGIN);
    let new = fs::read(binary).map_err(Error::file("read", binary))?;
    let executable = fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o7777 == 0o755);
    if executable && fs::read(&path).is_ok_and(|there| there == new) {
        return Ok(false);
    }
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    files::write_atomic(&path, &new, 0o755)?;
    Ok(true)
}

/// Removes the plugin's binary. Says whether it was there.
pub fn uninstall(dir: &Path) -> Result<bool, Error> {
    files::remove(&dir.join(PLUGIN))
}

#[cfg(test)]
mod tests;
