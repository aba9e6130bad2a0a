//! What the programs know: the tables of `bpf/contract.h` by meaning.

use std::collections::BTreeMap;

use fairlead_model::Addr;

/// Both ends of a packet. ICMP echo has its identifier in both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source.
    pub saddr: Addr,
    /// Destination.
    pub daddr: Addr,
    /// Source.
    pub sport: u16,
    /// Destination.
    pub dport: u16,
    /// IP protocol.
    pub proto: u8,
}

impl Tuple {
    /// What an answer says.
    pub fn reversed(self) -> Tuple {
        Tuple {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
            proto: self.proto,
        }
    }
}

/// A pod of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host's side of its link.
    pub ifindex: u32,
    /// The pod's MAC address.
    pub pod_mac: [u8; 6],
    /// The link's MAC address on the host's side.
    pub host_mac: [u8; 6],
    /// Whether a flow of it was translated by the packet path.
    pub translated: bool,
}

/// How an address in the cluster is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in the contract")]
pub enum Way {
    Local,
    Direct,
    Vxlan,
    Kernel,
}

/// A network of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// How it is reached.
    pub way: Way,
    /// The neighbour, or the tunnel's far end.
    pub next_hop: Addr,
    /// The device to leave by.
    pub ifindex: u32,
}

/// Where a route of the kernel leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The gateway.
    pub next_hop: Addr,
    /// The device to leave by.
    pub ifindex: u32,
}

/// What masquerade uses on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// IPv4.
    pub v4: Option<Addr>,
    /// IPv6.
    pub v6: Option<Addr>,
}

/// An address and port that stand for a Service's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontendKey {
    /// Its address.
    pub addr: Addr,
    /// Its port.
    pub port: u16,
    /// IP protocol.
    pub proto: u8,
}

/// Where a flow to a frontend may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Its address.
    pub addr: Addr,
    /// Its port.
    pub port: u16,
    /// IP protocol.
    pub proto: u8,
}

/// What a translation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Identity: the flow came from outside and is not masqueraded.
    Inbound,
    /// The source is rewritten to the node's.
    Masquerade,
    /// The destination is a Service's.
    Service,
}

impl Kind {
    /// What is translated on a pod's link. A flow to a Service that leaves the cluster has
    /// translations of both sorts, one after the other.
    pub(crate) const AT_POD: &[Kind] = &[Kind::Service];
    /// What is translated on a device of the node.
    pub(crate) const AT_WIRE: &[Kind] = &[Kind::Inbound, Kind::Masquerade];
}

/// A packet with the key's tuple becomes this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The new tuple.
    pub to: Tuple,
    /// What for.
    pub kind: Kind,
    /// The pair's second: packets of the answer.
    pub reply: bool,
    /// Of a Service's first entry: the backend and which life of it.
    pub backend: Option<(Backend, u64)>,
}

/// Which packet a fragment is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "RFC 791 and RFC 8200, section 4.5")]
pub struct FragmentKey {
    pub saddr: Addr,
    pub daddr: Addr,
    pub id: u32,
    pub proto: u8,
}

/// What user space may change while programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// First port of masquerade.
    pub nat_port_min: u16,
    /// Last port of masquerade.
    pub nat_port_max: u16,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Pods of this node by address.
    pub endpoints: BTreeMap<Addr, Endpoint>,
    /// Networks of the cluster: bits of the 16-byte address, and how they are reached.
    pub nodes: BTreeMap<(Addr, u32), Node>,
    /// Devices that masquerade, by index.
    pub uplinks: BTreeMap<u32, Uplink>,
    /// MTUs of the devices that exist, by index.
    pub mtus: BTreeMap<u32, usize>,
    /// The kernel's routes, by a gateway or to a neighbour itself: networks as in `nodes`.
    pub routes: BTreeMap<(Addr, u32), Gateway>,
    /// Translations of flows.
    pub translations: BTreeMap<Tuple, Translation>,
    /// Ports of fragmented packets.
    pub fragments: BTreeMap<FragmentKey, (u16, u16)>,
    /// Configuration.
    pub config: Config,
    frontends: BTreeMap<FrontendKey, Vec<Backend>>,
    lives: BTreeMap<Backend, u64>,
    births: u64,
}

impl Tables {
    /// Empty tables.
    pub fn new(config: Config) -> Self {
        Tables {
            endpoints: BTreeMap::new(),
            nodes: BTreeMap::new(),
            uplinks: BTreeMap::new(),
            mtus: BTreeMap::new(),
            routes: BTreeMap::new(),
            translations: BTreeMap::new(),
            fragments: BTreeMap::new(),
            config,
            frontends: BTreeMap::new(),
            lives: BTreeMap::new(),
            births: 0,
        }
    }

    /// Sets a frontend's backends; `None` takes it away. A backend lives while a frontend has it.
    pub fn set_frontend(&mut self, key: FrontendKey, backends: Option<Vec<Backend>>) {
        for backend in backends.iter().flatten() {
            self.births += 1;
            self.lives.entry(*backend).or_insert(self.births);
        }
        match backends {
            Some(backends) => self.frontends.insert(key, backends),
            None => self.frontends.remove(&key),
        };
        let used: Vec<Backend> = self.frontends.values().flatten().copied().collect();
        self.lives.retain(|backend, _| used.contains(backend));
    }

    /// A frontend's backends.
    pub fn frontend(&self, key: &FrontendKey) -> Option<&[Backend]> {
        self.frontends.get(key).map(Vec::as_slice)
    }

    /// Which life of a backend this is; `None` when it has ended.
    pub fn life(&self, backend: &Backend) -> Option<u64> {
        self.lives.get(backend).copied()
    }

    /// A translation of one of these kinds.
    pub(crate) fn known(&self, tuple: &Tuple, kinds: &[Kind]) -> Option<&Translation> {
        self.translations.get(tuple).filter(|entry| kinds.contains(&entry.kind))
    }

    /// The network of the cluster with the longest prefix that has `addr`.
    pub fn node(&self, addr: Addr) -> Option<&Node> {
        longest_match(&self.nodes, addr)
    }

    /// The gateway on the kernel's route to `addr`.
    pub fn gateway(&self, addr: Addr) -> Option<&Gateway> {
        longest_match(&self.routes, addr)
    }
}

fn longest_match<T>(nets: &BTreeMap<(Addr, u32), T>, addr: Addr) -> Option<&T> {
    let has = |(net, bits): &(Addr, u32)| {
        let differ = u128::from_be_bytes(net.0) ^ u128::from_be_bytes(addr.0);
        differ.leading_zeros() >= *bits
    };
    let nets = nets.iter().filter(|(key, _)| has(key));
    nets.max_by_key(|((_, bits), _)| *bits).map(|(_, value)| value)
}
