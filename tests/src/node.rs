//! A node: namespaces, a cgroup, an uplink, and its agent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::agent::{Agent, agent_binary};
use crate::holder::Holder;
use crate::store::Store;
use crate::underlay::{self, Uplink};
use crate::{Cni, Host, LabError, LabSpec, Output, Place, Pod, PodSpec, cgroup, objects};

/// Mounts of a node: what the agent and plugins find at fixed paths is the node's own. The cgroup
/// tree is kept, because a fresh sysfs (which shows this namespace's links) hides it.
const MOUNTS: &str = "mkdir -p /etc/cni/net.d /opt/cni/bin
mount --make-rprivate /
mount -t tmpfs -o mode=755 run /run
mkdir /run/keep
mount --rbind /sys/fs/cgroup /run/keep
mount -t sysfs sysfs /sys
mount --rbind /run/keep /sys/fs/cgroup
umount -R -l /run/keep
rmdir /run/keep
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs -o mode=755 cni /etc/cni/net.d
mount -t tmpfs -o mode=755 cni /opt/cni/bin";

/// The file whose appearance says that the agent is ready.
pub(crate) const CONFLIST: &str = "/etc/cni/net.d/05-fairlead.conflist";

/// What lies on a disk, not in /run.
const DISK: [&str; 2] = ["/etc/cni/net.d", "/opt/cni/bin"];

/// A node of a lab.
#[derive(Debug)]
pub struct Node {
    pub(crate) name: String,
    number: usize,
    pub(crate) spec: LabSpec,
    pub(crate) agent: Mutex<Option<Agent>>,
    pub(crate) place: Place,
    holder: Holder,
    uplink: Uplink,
    cgroup: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) store: Arc<Store>,
}

impl Node {
    pub(crate) fn new(
        spec: &LabSpec,
        number: usize,
        switch: u32,
        (cgroup, folder): (&Path, &Path),
        store: &Arc<Store>,
    ) -> Result<Self, LabError> {
        let name = format!("n{number}");
        let (cgroup, folder) = (cgroup.join(&name), folder.join(&name));
        cgroup::make(&cgroup.join("pods"))?;
        std::fs::create_dir_all(&folder).map_err(|e| LabError::file("making", &folder, e))?;
        let place = Place::here().in_cgroup(&cgroup)?;
        let holder = Holder::start(&place.clone().with_own_net().with_own_mounts(), MOUNTS)?;
        let place = place.in_net_of(holder.pid())?.in_mounts_of(holder.pid())?;
        let uplink = underlay::node_uplink(spec, number);
        underlay::plug(spec, switch, holder.pid(), &uplink)?;
        let (spec, store, agent) = (spec.clone(), store.clone(), Mutex::new(None));
        Ok(Self { name, number, spec, agent, place, holder, uplink, cgroup, folder, store })
    }

    /// Its name: `n1` and on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.uplink.addresses(self.spec.family)
    }

    /// The ranges of its pods, IPv4 first: 10.244.x.0/24 and fd44:0:0:x::/64.
    pub fn pod_cidrs(&self) -> Vec<String> {
        let v4 = self.spec.family.v4().then(|| format!("10.244.{}.0/24", self.number));
        let v6 = self.spec.family.v6().then(|| format!("fd44:0:0:{:x}::/64", self.number));
        v4.into_iter().chain(v6).collect()
    }

    /// Its Node object.
    pub fn object(&self) -> Value {
        objects::node(&self.name, &self.addresses(), &self.pod_cidrs())
    }

    /// Its cgroup v2 directory.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    pub(crate) fn number(&self) -> u8 {
        self.number as u8
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// `path` of the node's mount namespace, as this process can open it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.pid()))
    }

    /// Runs `fairlead <arguments>` on the node.
    pub fn fairlead(&self, arguments: &[&str]) -> Result<Output, LabError> {
        let mut command = self.place.command(agent_binary()?);
        command.args(arguments);
        crate::output::run(command)
    }

    /// What `fairlead status -o json` says. Panics when it says nothing.
    pub fn status(&self) -> Value {
        let output = self.fairlead(&["status", "--run-dir", "/run/fairlead", "-o", "json"]);
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }

    /// The CNI configuration that the agent wrote, ready to be called.
    pub fn cni(&self) -> Result<Cni, LabError> {
        Cni::read(self.place.clone(), "/opt/cni/bin", &self.path(CONFLIST))
    }

    /// A pod with this name in namespace `default`: namespaces, objects, and CNI ADD.
    pub fn add_pod(&self, name: &str) -> Result<Pod<'_>, LabError> {
        Pod::add(self, PodSpec::named(name))
    }

    /// A pod from a longer description.
    pub fn add_pod_as(&self, spec: PodSpec) -> Result<Pod<'_>, LabError> {
        Pod::add(self, spec)
    }

    /// The files that a disk would keep over a reboot.
    pub(crate) fn disk(&self) -> Result<Vec<(String, Vec<u8>)>, LabError> {
        let mut files = Vec::new();
        for folder in DISK {
            let listing = std::fs::read_dir(self.path(folder));
            for entry in listing.map_err(|e| LabError::file("listing", folder, e))?.flatten() {
                let text = std::fs::read(entry.path());
                let text = text.map_err(|e| LabError::file("reading", entry.path(), e))?;
                files.push((format!("{folder}/{}", entry.file_name().to_string_lossy()), text));
            }
        }
        Ok(files)
    }

    pub(crate) fn restore(&self, files: &[(String, Vec<u8>)]) -> Result<(), LabError> {
        for (name, text) in files {
            let path = self.path(name);
            std::fs::write(&path, text).map_err(|e| LabError::file("writing", &path, e))?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode)
                .map_err(|e| LabError::file("changing", &path, e))?;
        }
        Ok(())
    }
}

impl Host for Node {
    fn place(&self) -> &Place {
        &self.place
    }
}
