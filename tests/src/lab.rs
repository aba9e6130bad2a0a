//! The lab: a switch, nodes, an outside host, and the objects that agents see.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::holder::Holder;
use crate::store::Store;
use crate::underlay::{self, Uplink};
use crate::watcher::Watcher;
use crate::{Host, LabError, LabSpec, Node, Place, cgroup, requirements};

/// A running lab. Dropping it ends all of its processes and removes what it made.
#[derive(Debug)]
pub struct Lab {
    spec: LabSpec,
    store: Arc<Store>,
    // Fields drop in this order: nodes first, what they stand on last.
    nodes: Vec<Node>,
    switch: Place,
    outside: Place,
    outside_uplink: Uplink,
    /// The switch's and the outside host's.
    holders: Vec<Holder>,
    paths: Paths,
}

#[derive(Debug)]
struct Paths {
    cgroup: PathBuf,
    folder: PathBuf,
    _watcher: Watcher,
}

impl Lab {
    /// Makes the namespaces and links of `spec`, and Node objects. Agents are not started.
    pub fn new(spec: LabSpec) -> Result<Self, LabError> {
        if let Some(why) = requirements::missing() {
            return Err(LabError::Missing(why));
        }
        let paths = Paths::make()?;
        let switch_place = Place::here().in_cgroup(&paths.cgroup)?.with_own_net();
        let switch = Holder::start(&switch_place, underlay::SWITCH_SETUP)?;
        underlay::build_switch(&spec, switch.pid())?;
        let switch_inside = Place::here().in_cgroup(&paths.cgroup)?.in_net_of(switch.pid())?;
        let outside = Holder::start(&switch_place, "ip link set lo up")?;
        let outside_uplink = underlay::outside_uplink(&spec);
        underlay::plug(&spec, switch.pid(), outside.pid(), &outside_uplink)?;
        let outside_place = Place::here().in_cgroup(&paths.cgroup)?.in_net_of(outside.pid())?;
        let store = Arc::new(Store::default());
        let nodes = (1..=spec.nodes)
            .map(|i| Node::new(&spec, i, switch.pid(), (&paths.cgroup, &paths.folder), &store))
            .collect::<Result<Vec<_>, _>>()?;
        for node in &nodes {
            store.apply(node.object());
        }
        let holders = vec![switch, outside];
        Ok(Self {
            spec,
            store,
            nodes,
            switch: switch_inside,
            outside: outside_place,
            outside_uplink,
            holders,
            paths,
        })
    }

    /// As [`Lab::new`], and starts the agent of every node and waits until they are ready.
    pub fn with_agents(spec: LabSpec) -> Result<Self, LabError> {
        let lab = Self::new(spec)?;
        lab.nodes.iter().try_for_each(Node::start_agent)?;
        lab.nodes.iter().try_for_each(|node| node.wait_ready(crate::agent::READY_IN))?;
        Ok(lab)
    }

    /// What it was made from.
    pub fn spec(&self) -> &LabSpec {
        &self.spec
    }

    /// Node `n<number>`, counted from 1. Panics when there is none.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A host beside the cluster, which knows nothing of it.
    pub fn outside(&self) -> &Place {
        &self.outside
    }

    /// The outside host's addresses, of the lab's families.
    pub fn outside_addresses(&self) -> Vec<std::net::IpAddr> {
        self.outside_uplink.addresses(self.spec.family)
    }

    /// Cuts the power of node `number` and boots it: namespaces, bpffs, /run, processes and pods are
    /// new, what a disk keeps (the runtime's configuration and plugins) is as it was. The agent is
    /// not started.
    pub fn reboot(&mut self, number: usize) -> Result<(), LabError> {
        let node = &self.nodes[number - 1];
        let disk = node.disk()?;
        node.kill_agent();
        underlay::unplug(&self.switch, node.name())?;
        cgroup::remove(node.cgroup());
        let folders = (self.paths.cgroup.as_path(), self.paths.folder.as_path());
        let booted = Node::new(&self.spec, number, self.holders[0].pid(), folders, &self.store)?;
        booted.restore(&disk)?;
        self.nodes[number - 1] = booted;
        Ok(())
    }

    /// Changes the MTU of the cable to `host` (`n1`, …, `outside`), at both ends.
    pub fn set_link_mtu(&self, host: &str, mtu: u32) -> Result<(), LabError> {
        let far = match self.nodes.iter().find(|node| node.name() == host) {
            Some(node) => node.place(),
            None => &self.outside,
        };
        underlay::set_mtu(&self.switch, host, mtu)?;
        underlay::set_mtu(far, "eth0", mtu)
    }

    /// Creates or changes a Kubernetes object: every running agent is told, later ones too.
    pub fn apply(&self, object: Value) {
        self.store.apply(object);
    }

    /// Deletes a Kubernetes object.
    pub fn delete(&self, object: &Value) {
        self.store.delete(object);
    }

    /// Lists everything again to every agent, as after a watch that was cut.
    pub fn relist(&self) {
        self.store.relist();
    }

    /// A folder for logs, removed with the lab.
    pub fn folder(&self) -> &Path {
        &self.paths.folder
    }

    /// The ends of the agents' logs, for a test that fails.
    pub fn logs(&self) -> String {
        self.nodes
            .iter()
            .map(|node| format!("--- {}\n{}\n", node.name(), node.log_tail()))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

impl Paths {
    fn make() -> Result<Self, LabError> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let root = cgroup::mount_point().expect("requirements were checked");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            cgroup::collect_leftovers(&root);
        }
        let name = format!("{}{}-{number}", cgroup::PREFIX, std::process::id());
        let (cgroup, folder) = (root.join(&name), std::env::temp_dir().join(&name));
        let watcher = Watcher::start(&cgroup, &folder)?;
        cgroup::make(&cgroup)?;
        std::fs::create_dir_all(&folder).map_err(|e| LabError::file("making", &folder, e))?;
        Ok(Self { cgroup, folder, _watcher: watcher })
    }
}

impl Drop for Paths {
    fn drop(&mut self) {
        cgroup::remove(&self.cgroup);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
