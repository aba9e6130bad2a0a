//! The datapath: the only crate that touches eBPF.
//!
//! [`Datapath::open`] loads the programs over the maps that are pinned on the node, which makes a
//! start, a restart and an upgrade the same thing. Programs are then attached to sockets and devices
//! by pinned links, and the tables made equal to what is wanted. Dropping a [`Datapath`] changes
//! nothing in the kernel; [`Datapath::remove`] takes everything away.

#![allow(unsafe_code, reason = "bpf(2) and the bytes of maps have no safe interface in full")]
#![allow(missing_docs, reason = "the fields of contract.rs are documented in bpf/contract.h")]

pub mod contract;

mod attach;
mod balancer;
mod error;
mod events;
mod host;
mod load;
mod nat;
mod sys;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, HashMap, Map, MapData, MapInfo, PerCpuArray, RingBuf};
use fairlead_model::Addr;

pub use attach::{Attacher, Role, SOCKET_PROGRAM_COUNT};
pub use balancer::Balancer;
pub use error::Error;
pub use events::Events;
pub use host::{check_cgroup, check_kernel, ensure_bpffs, find_cgroup, unmount_bpffs};
pub use load::{LAYOUT, OBJECT, Sizes};
pub use nat::{Timeouts, Translations};
pub use table::{Changes, Hash, Nodes};

use contract::{Config, Counter, Endpoint, Node, NodeKey, Uplink, Verdict};
use load::Pins;

/// A counter's place: which hook or way, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The hook's name, of drops.
    pub hook: &'static str,
    /// The reason's name, of drops; the way's name, of traffic.
    pub name: &'static str,
    /// The reason as people read it.
    pub text: &'static str,
    pub packets: u64,
    pub bytes: u64,
}

/// The node's datapath.
pub struct Datapath {
    ebpf: Ebpf,
    pins: Pins,
    config: Array<MapData, Config>,
    verdict: Array<MapData, Verdict>,
    endpoints: Hash<[u8; 16], Endpoint>,
    nodes: Nodes,
    uplinks: Hash<u32, Uplink>,
    drops: PerCpuArray<MapData, Counter>,
    traffic: PerCpuArray<MapData, Counter>,
}

/// Parts that have an owner of their own in the agent.
pub struct Parts {
    pub balancer: Balancer,
    pub translations: [Translations; 2],
    pub events: RingBuf<MapData>,
}

fn take<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, Error>
where
    T::Error: std::fmt::Display,
{
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| Error::Load(format!("map {name} is not in the object")))?;
    T::try_from(map).map_err(|e| Error::map(name, "open", e))
}

fn translations(
    ebpf: &mut Ebpf,
    pins: &Pins,
    name: &'static str,
    established: bool,
) -> Result<Translations, Error> {
    let path = pins.maps().join(name);
    let fd = sys::open_pin(&path).map_err(Error::file(&path))?;
    let map: HashMap<MapData, _, _> = take(ebpf, name)?;
    let info = MapInfo::from_pin(&path).map_err(|e| Error::map(name, "open", e))?;
    Ok(Translations { name, established, map, fd, max_entries: info.max_entries() })
}

impl Datapath {
    /// Loads the datapath over what is pinned under `bpffs`. Nothing is attached yet.
    pub fn open(bpffs: &Path, sizes: &Sizes) -> Result<(Self, Parts), Error> {
        let pins = Pins::new(bpffs);
        let mut ebpf = load::load(&pins, sizes)?;
        let path = pins.maps().join("fl_backends");
        let backends_fd = sys::open_pin(&path).map_err(Error::file(&path))?;
        let balancer = Balancer::new(
            Hash::new("fl_frontends", take(&mut ebpf, "fl_frontends")?),
            take(&mut ebpf, "fl_slots")?,
            take(&mut ebpf, "fl_backends")?,
            backends_fd.as_fd(),
        )?;
        let parts = Parts {
            balancer,
            translations: [
                translations(&mut ebpf, &pins, "fl_nat_tcp", true)?,
                translations(&mut ebpf, &pins, "fl_nat_any", false)?,
            ],
            events: take(&mut ebpf, "fl_events")?,
        };
        let nodes: LpmTrie<MapData, [u8; 16], Node> = take(&mut ebpf, "fl_nodes")?;
        let datapath = Datapath {
            config: take(&mut ebpf, "fl_config")?,
            verdict: take(&mut ebpf, "fl_verdict")?,
            endpoints: Hash::new("fl_endpoints", take(&mut ebpf, "fl_endpoints")?),
            nodes: Nodes::new(nodes),
            uplinks: Hash::new("fl_uplinks", take(&mut ebpf, "fl_uplinks")?),
            drops: take(&mut ebpf, "fl_drops")?,
            traffic: take(&mut ebpf, "fl_traffic")?,
            ebpf,
            pins,
        };
        Ok((datapath, parts))
    }

    /// Where the maps are pinned.
    pub fn map_dir(&self) -> PathBuf {
        self.pins.maps()
    }

    /// Map directories of other layouts: their connections are not taken over.
    pub fn other_layouts(&self) -> Vec<String> {
        self.pins.other_layouts()
    }

    /// Attaches the socket programs to a cgroup v2 directory, in place of those that are there.
    pub fn attach_sockets(&self, cgroup: &Path) -> Result<(), Error> {
        attach::attach_sockets(&self.ebpf, &self.pins, cgroup)
    }

    /// What attaches programs to devices.
    pub fn attacher(&self) -> Result<Attacher, Error> {
        Attacher::new(&self.ebpf, &self.pins)
    }

    /// Detaches the programs of all devices but these.
    pub fn prune_devices(&self, keep: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        attach::prune_devices(&self.pins, keep)
    }

    /// How many socket programs are attached.
    pub fn sockets_attached(&self) -> usize {
        attach::sockets_attached(&self.pins)
    }

    /// What programs read at run time.
    pub fn config(&self) -> Config {
        self.config.get(&0, 0).unwrap_or_default()
    }

    /// Replaces it.
    pub fn set_config(&mut self, config: Config) -> Result<(), Error> {
        self.config
            .set(0, config, 0)
            .map_err(|e| Error::map("fl_config", "write", table::describe(&e)))
    }

    /// The verdict on the last packet, while `CONFIG_RECORD` is set.
    pub fn verdict(&self) -> Verdict {
        self.verdict.get(&0, 0).unwrap_or_default()
    }

    /// Pods' addresses on this node.
    pub fn endpoints(&mut self) -> &mut Hash<[u8; 16], Endpoint> {
        &mut self.endpoints
    }

    /// Adds or replaces a pod's address; a flow's mark on it stays.
    pub fn put_endpoint(&mut self, addr: Addr, mut endpoint: Endpoint) -> Result<(), Error> {
        if let Some(there) = self.endpoints.get(&addr.0)
            && there.ifindex == endpoint.ifindex
        {
            endpoint.translated = there.translated;
        }
        self.endpoints.put(&addr.0, &endpoint)
    }

    /// Makes the pods' addresses exactly these.
    pub fn sync_endpoints(
        &mut self,
        wanted: &BTreeMap<[u8; 16], Endpoint>,
    ) -> Result<Changes, Error> {
        let unmarked = |e: &Endpoint| Endpoint { translated: 0, ..*e };
        table::sync(&mut self.endpoints, wanted, |a, b| unmarked(a) == unmarked(b))
    }

    /// Makes the ways to other nodes exactly these.
    pub fn sync_nodes(&mut self, wanted: &BTreeMap<NodeKey, Node>) -> Result<Changes, Error> {
        table::sync(&mut self.nodes, wanted, PartialEq::eq)
    }

    /// Makes the node's devices and their addresses exactly these.
    pub fn sync_uplinks(&mut self, wanted: &BTreeMap<u32, Uplink>) -> Result<Changes, Error> {
        table::sync(&mut self.uplinks, wanted, PartialEq::eq)
    }

    /// Drops that happened, by hook and reason.
    pub fn drops(&self) -> Vec<Count> {
        let reasons = contract::DROP_REASONS;
        let place =
            |i: usize| (contract::HOOKS.get(i / reasons.len()), reasons.get(i % reasons.len()));
        self.drops
            .iter()
            .enumerate()
            .filter_map(|(i, values)| {
                let (Some(hook), Some((name, text))) = place(i) else { return None };
                let (packets, bytes) = sum(&values.ok()?);
                (packets > 0).then_some(Count { hook, name, text, packets, bytes })
            })
            .collect()
    }

    /// What was forwarded, by way.
    pub fn traffic(&self) -> Vec<Count> {
        self.traffic
            .iter()
            .zip(contract::FORWARDS)
            .filter_map(|(values, name)| {
                let (packets, bytes) = sum(&values.ok()?);
                Some(Count { hook: "", name, text: "", packets, bytes })
            })
            .collect()
    }

    /// Programs, for tests.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Whether something of Fairlead is pinned under `bpffs`.
    pub fn is_pinned(bpffs: &Path) -> bool {
        Pins::new(bpffs).root().exists()
    }

    /// Removes every link and map of Fairlead under `bpffs`.
    pub fn remove(bpffs: &Path) -> Result<(), Error> {
        attach::remove_all(&Pins::new(bpffs))
    }
}

impl Parts {
    /// The reader of events. Needs a tokio runtime.
    pub fn events(ring: RingBuf<MapData>) -> std::io::Result<Events> {
        Events::new(ring)
    }
}

fn sum(values: &[Counter]) -> (u64, u64) {
    values.iter().fold((0, 0), |(p, b), c| (p + c.packets, b + c.bytes))
}
