//! The kernel's programs beside the model: the same tables, the same packets.

use std::collections::BTreeMap;
use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use fairlead_datapath::contract::{self, CONFIG_RECORD, Frag, FragKey};
use fairlead_datapath::{Datapath, Parts, Sizes, Timeouts};
use fairlead_model::{Addr, ObjectName, Protocol};
use fairlead_reference::{
    Backend, Config, FrontendKey, Hook, Input, Kind, Outcome, Tables, Translation, Tuple,
};
use fairlead_services::{BackendAddr, FrontendSpec};

use super::world::{self, Devices};

/// Bytes for people: the length and what can hold headers.
pub fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(160).map(|b| format!("{b:02x}"));
    format!("{:4}: {}", bytes.len(), shown.collect::<String>())
}

/// What came out of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub bytes: Vec<u8>,
    pub returned: i32,
    pub mark: u32,
}

/// The datapath with its parts.
pub struct Bench {
    pub datapath: Datapath,
    pub parts: Parts,
    pub devices: Devices,
    mtus: BTreeMap<u32, usize>,
    fragments: HashMap<MapData, FragKey, Frag>,
    verdict: Array<MapData, contract::Verdict>,
    time: u64,
}

/// Small maps: tests list them after every packet.
pub fn sizes() -> Sizes {
    ["fl_nat_tcp", "fl_nat_any"].map(|name| (name.to_owned(), 2048)).into()
}

pub fn program(hook: Hook) -> &'static str {
    match hook {
        Hook::FromPod => "fl_from_pod",
        Hook::ToPod => "fl_to_pod",
        Hook::FromWire => "fl_from_wire",
        Hook::ToWire => "fl_to_wire",
        Hook::FromOverlay => "fl_from_overlay",
        Hook::ToOverlay => "fl_to_overlay",
    }
}

/// Runs a program on a frame.
pub fn run(datapath: &mut Datapath, hook: Hook, input: Input<'_>) -> Ran {
    const MARK: usize = 8;
    const IFINDEX: usize = 40;
    // struct __sk_buff of <linux/bpf.h>
    let mut ctx = [0u8; 192];
    ctx[MARK..MARK + 4].copy_from_slice(&input.mark.to_ne_bytes());
    ctx[IFINDEX..IFINDEX + 4].copy_from_slice(&input.ifindex.to_ne_bytes());
    let (mut out, mut ctx_out) = (vec![0u8; 4096], [0u8; 192]);
    let program = datapath.ebpf().program(program(hook)).expect("a program of the object");
    let program: &SchedClassifier = program.try_into().expect("a classifier");
    let options = TestRunOptions {
        data_in: Some(input.bytes),
        data_out: Some(&mut out),
        ctx_in: Some(&ctx),
        ctx_out: Some(&mut ctx_out),
        ..TestRunOptions::new()
    };
    let result = program.test_run(options);
    let result = result.unwrap_or_else(|e| panic!("{hook:?} on {:02x?}: {e:?}", input.bytes));
    out.truncate(result.data_size_out as usize);
    let mark = ctx_out[MARK..MARK + 4].try_into().expect("four bytes");
    Ran { bytes: out, returned: result.return_value as i32, mark: u32::from_ne_bytes(mark) }
}

pub fn spec_of(key: &FrontendKey, backends: &[Backend]) -> FrontendSpec {
    let protocol = match key.proto {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    let backend = |b: &Backend| BackendAddr { addr: b.addr, port: b.port, node_name: None };
    FrontendSpec {
        addr: key.addr,
        port: key.port,
        protocol,
        port_name: String::new(),
        backends: backends.iter().map(backend).collect(),
    }
}

fn tuple_of(raw: &contract::Tuple) -> Tuple {
    Tuple {
        saddr: Addr(raw.saddr),
        daddr: Addr(raw.daddr),
        sport: u16::from_be(raw.sport),
        dport: u16::from_be(raw.dport),
        proto: raw.proto,
    }
}

/// Of an entry's flags, what it is for.
fn flags_of(translation: &Translation) -> u32 {
    let kind = match translation.kind {
        Kind::Inbound => 0x04,
        Kind::Masquerade => 0x08,
        Kind::Service => 0x10,
    };
    kind | if translation.reply { 0x20 } else { 0 }
}

impl Bench {
    pub fn new(bpffs: &Path) -> Self {
        let (devices, mtus) = world::make_devices();
        let (datapath, parts) = Datapath::open(bpffs, &sizes()).expect("the datapath loads");
        let pin = |name| MapData::from_pin(datapath.map_dir().join(name)).expect("a pinned map");
        let fragments = Map::LruHashMap(pin("fl_frags")).try_into().expect("the contract's shape");
        let verdict = Map::Array(pin("fl_verdict")).try_into().expect("the contract's shape");
        Bench { datapath, parts, devices, mtus, fragments, verdict, time: 0 }
    }

    /// Makes the kernel's tables those of an empty world, and answers the model's.
    pub fn reset(&mut self, config: Config) -> Tables {
        let tables = world::tables(&self.devices, &self.mtus, config);
        for addr in self.datapath.endpoints().entries().unwrap().keys() {
            self.datapath.endpoints().remove(addr).unwrap();
        }
        for (addr, endpoint) in &tables.endpoints {
            self.datapath.put_endpoint(*addr, world::raw_endpoint(endpoint)).unwrap();
        }
        self.datapath.sync_nodes(&world::raw_nodes(&tables)).unwrap();
        self.datapath.sync_uplinks(&world::raw_uplinks(&tables)).unwrap();
        let raw = contract::Config {
            flags: CONFIG_RECORD,
            vxlan_ifindex: self.devices["tun"],
            nat_port_min: config.nat_port_min,
            nat_port_max: config.nat_port_max,
            pad: 0,
        };
        self.datapath.set_config(raw).unwrap();
        for map in &mut self.parts.translations {
            map.collect(u32::MAX, &Timeouts::default()).unwrap();
        }
        let keys: Vec<FragKey> = self.fragments.keys().map(Result::unwrap).collect();
        keys.iter().for_each(|key| self.fragments.remove(key).unwrap());
        self.apply("reset", &[]);
        self.time += 10_000;
        self.parts.balancer.prune(self.time).unwrap();
        tables
    }

    /// Sets a Service's frontends in the kernel.
    pub fn apply(&mut self, name: &str, specs: &[FrontendSpec]) {
        // so late that nothing rests: ids are used again, which generations must tell apart
        self.time += 10_000;
        let name = ObjectName::new("default", name);
        self.parts.balancer.apply(&name, specs, self.time).unwrap();
    }

    /// Sets a frontend on both sides.
    pub fn set_frontend(
        &mut self,
        tables: &mut Tables,
        key: FrontendKey,
        backends: Option<Vec<Backend>>,
    ) {
        let name = format!("{:?}-{}-{}", key.addr, key.port, key.proto);
        let specs: Vec<_> = backends.iter().map(|b| spec_of(&key, b)).collect();
        self.apply(&name, &specs);
        tables.set_frontend(key, backends);
    }

    /// Entries of both maps: tuple, what it becomes, flags.
    pub fn translations(&self) -> BTreeMap<Tuple, (Tuple, u32)> {
        let maps = self.parts.translations.iter();
        let entries = maps.flat_map(|map| map.entries().unwrap());
        let mut all = BTreeMap::new();
        for (key, nat) in entries {
            let value = (tuple_of(&nat.to), nat.flags & 0x3c);
            let other = all.insert(tuple_of(&key), value);
            assert!(other.is_none_or(|o| o == value), "two maps differ on {key:?}");
        }
        all
    }

    /// What the program recorded. What is not a pod's business leaves early, without a record.
    fn recorded(&self, ran: &Ran) -> contract::Verdict {
        const PASS: u8 = 1;
        let verdict = self.datapath.verdict();
        let none = verdict == contract::Verdict::default() && ran.returned == -1;
        if none { contract::Verdict { action: PASS, ..verdict } } else { verdict }
    }

    /// Runs both sides. `Err` says in what they differ.
    pub fn compare(
        &mut self,
        tables: &mut Tables,
        hook: Hook,
        input: Input<'_>,
    ) -> Result<Outcome, String> {
        self.verdict.set(0, contract::Verdict::default(), 0).unwrap();
        let ran = run(&mut self.datapath, hook, input);
        let verdict = self.recorded(&ran);
        let stored = self.translations();
        let chosen = |tuple: &Tuple| stored.get(tuple).map(|(to, _)| *to);
        let outcome = fairlead_reference::run(hook, tables, input, &chosen)
            .map_err(|e| format!("{e}\nkernel {}\n{verdict:?}", hex(&ran.bytes)))?;
        let wanted = &outcome.verdict;
        let raw = contract::Verdict {
            next_hop: wanted.next_hop.0,
            ifindex: wanted.ifindex,
            action: wanted.action as u8,
            reason: wanted.reason as u8,
            pad: [0; 2],
        };
        let returned = match raw.action {
            1 => -1,
            2 => 2,
            _ => 7,
        };
        let mut faults = Vec::new();
        if meaning(hook, &verdict) != meaning(hook, &raw) || ran.returned != returned {
            faults.push(format!("verdict: kernel {verdict:?} ({}), model {raw:?}", ran.returned));
        }
        if raw.action != 2 && ran.bytes != outcome.bytes {
            faults.push(format!("kernel {}\nmodel  {}", hex(&ran.bytes), hex(&outcome.bytes)));
        }
        if ran.mark != outcome.mark {
            faults.push(format!("mark: kernel {:#x}, model {:#x}", ran.mark, outcome.mark));
        }
        faults.extend(differences(&stored, tables));
        faults.extend(self.endpoint_differences(tables));
        if faults.is_empty() { Ok(outcome) } else { Err(faults.join("\n")) }
    }

    fn endpoint_differences(&mut self, tables: &Tables) -> Option<String> {
        let endpoints = &tables.endpoints;
        endpoints.iter().find_map(|(addr, endpoint)| {
            let raw = self.datapath.endpoints().get(&addr.0).expect("an endpoint");
            let differ = (raw.translated != 0) != endpoint.translated;
            differ.then(|| format!("{addr}: translated is {} in the kernel", raw.translated))
        })
    }
}

/// A verdict without what its action does not use: where a packet would go that passes all the same.
fn meaning(hook: Hook, verdict: &contract::Verdict) -> contract::Verdict {
    let sent_on = verdict.action > 2;
    let next_hop = if sent_on || hook == Hook::ToOverlay { verdict.next_hop } else { [0; 16] };
    let ifindex = if sent_on { verdict.ifindex } else { 0 };
    contract::Verdict { next_hop, ifindex, ..*verdict }
}

fn differences(stored: &BTreeMap<Tuple, (Tuple, u32)>, tables: &Tables) -> Option<String> {
    let model = tables.translations.iter();
    let model: BTreeMap<_, _> = model.map(|(k, t)| (*k, (t.to, flags_of(t)))).collect();
    if *stored == model {
        return None;
    }
    let only = |a: &BTreeMap<Tuple, (Tuple, u32)>, b: &BTreeMap<Tuple, (Tuple, u32)>| {
        let differ = a.iter().filter(|(k, v)| b.get(k) != Some(v));
        differ
            .map(|(k, (to, flags))| format!("\n  {k:?}\n  -> {to:?} {flags:#x}"))
            .collect::<String>()
    };
    Some(format!("translations: kernel{}\nmodel{}", only(stored, &model), only(&model, stored)))
}
