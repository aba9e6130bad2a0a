//! Random lives of a node, held against an oracle that knows only which addresses exist (by
//! walking over the small ranges) and who has which.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use fairlead_cni::Error;
use fairlead_cni::ipam::{Records, Wanted};
use fairlead_cni::protocol::{Attachment, Pod};
use ipnet::IpNet;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Add(u8),
    Release(u8),
    /// The agent dies and starts again, with a file that it had not finished.
    Crash(u64),
    Wait(u64),
    Cidrs(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..16).prop_map(Op::Add),
        4 => (0u8..16).prop_map(Op::Release),
        1 => any::<u64>().prop_map(Op::Crash),
        2 => (0u64..40_000).prop_map(Op::Wait),
        1 => (0usize..CIDRS.len()).prop_map(Op::Cidrs),
    ]
}

/// Small enough to become full; they share, grow, shrink and lose a family.
const CIDRS: [&[&str]; 6] = [
    &["10.0.0.0/29", "fd00::/125"],
    &["10.0.0.0/29"],
    &["10.0.0.0/28", "fd00::/124"],
    &["fd00::/125"],
    &["10.0.0.0/30", "10.0.1.0/30", "fd00::/126", "fd00:1::/126"],
    &["10.0.1.0/29", "10.0.0.0/29", "fd00:1::/125"],
];

/// On tmpfs, as on a node: a disk would take its time for every record.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn cidrs(which: usize) -> Vec<IpNet> {
    CIDRS[which].iter().map(|c| c.parse().unwrap()).collect()
}

fn attachment(id: u8) -> Attachment {
    Attachment { container_id: format!("c{id}"), ifname: "eth0".into() }
}

fn wanted(id: u8) -> Wanted {
    let (pod, host_link) = (Pod::default(), format!("fl{id}"));
    Wanted { attachment: attachment(id), pod, host_link, mtu: 1500 }
}

/// What a person with pencil and paper would keep.
#[derive(Default)]
struct Oracle {
    cidrs: Vec<IpNet>,
    owned: BTreeMap<u8, Vec<IpAddr>>,
    /// When an address was released; forgotten when the agent dies or it is no pod address.
    released: BTreeMap<IpAddr, Instant>,
}

impl Oracle {
    fn pod_addresses(&self, v4: bool) -> BTreeSet<IpAddr> {
        let mut all = BTreeSet::new();
        for cidr in self.cidrs.iter().filter(|cidr| matches!(cidr, IpNet::V4(_)) == v4) {
            match cidr {
                // The walk leaves out network and broadcast, and we the node's.
                IpNet::V4(cidr) => all.extend(cidr.hosts().skip(1).map(IpAddr::V4)),
                // It leaves out nothing here.
                IpNet::V6(cidr) => all.extend(cidr.hosts().skip(2).map(IpAddr::V6)),
            }
        }
        all
    }

    fn free(&self, v4: bool) -> BTreeSet<IpAddr> {
        let taken: BTreeSet<IpAddr> = self.owned.values().flatten().copied().collect();
        self.pod_addresses(v4).difference(&taken).copied().collect()
    }

    fn has(&self, v4: bool) -> bool {
        !self.pod_addresses(v4).is_empty()
    }

    fn rests(&self, ip: &IpAddr, now: Instant) -> bool {
        self.released.get(ip).is_some_and(|since| now - *since < Duration::from_secs(30))
    }

    fn forget_strangers(&mut self) {
        let all = &self.pod_addresses(true) | &self.pod_addresses(false);
        self.released.retain(|ip, _| all.contains(ip));
    }

    fn check_add(&mut self, id: u8, result: Result<Vec<IpAddr>, Error>, now: Instant) {
        if let Some(owned) = self.owned.get(&id) {
            assert_eq!(&result.unwrap(), owned, "a retry gets what it had");
            return;
        }
        let families: Vec<bool> = [true, false].into_iter().filter(|v4| self.has(*v4)).collect();
        if families.iter().any(|v4| self.free(*v4).is_empty()) {
            assert!(matches!(result, Err(Error::Full { .. })), "{result:?}");
            return;
        }
        let given = result.unwrap();
        assert_eq!(given.len(), families.len(), "one of each family: {given:?}");
        for (ip, v4) in given.iter().zip(families) {
            let free = self.free(v4);
            assert!(free.contains(ip), "{ip} is not one of the free {free:?}");
            let rested = free.iter().any(|other| !self.rests(other, now));
            assert!(!(rested && self.rests(ip, now)), "{ip} should rest; free: {free:?}");
            self.released.remove(ip);
        }
        self.owned.insert(id, given);
    }

    fn check_usage(&self, records: &Records) {
        for usage in records.usage() {
            let v4 = matches!(usage.cidr, IpNet::V4(_));
            let all = self.pod_addresses(v4);
            let inside: BTreeSet<_> = all.iter().filter(|ip| usage.cidr.contains(*ip)).collect();
            let owned = self.owned.values().flatten().filter(|ip| inside.contains(ip)).count();
            assert_eq!(usage.in_use, owned as u128, "in use of {}", usage.cidr);
            assert_eq!(usage.usable, inside.len() as u128, "usable of {}", usage.cidr);
        }
    }
}

fn add(records: &mut Records, id: u8, now: Instant) -> Result<Vec<IpAddr>, Error> {
    records.add(wanted(id), now).map(|record| record.addresses.iter().collect())
}

fn live(dir: &Path, start: usize, ops: Vec<Op>) {
    let mut now = Instant::now();
    let mut oracle = Oracle { cidrs: cidrs(start), ..Oracle::default() };
    let mut records = Records::open(dir, &oracle.cidrs, 7).unwrap();
    for op in ops {
        match op {
            Op::Add(id) => {
                let result = add(&mut records, id, now);
                oracle.check_add(id, result, now);
            }
            Op::Release(id) => {
                let released = records.release(&attachment(id), now).unwrap();
                let owned = oracle.owned.remove(&id);
                assert_eq!(released.map(|r| r.addresses.iter().collect()), owned);
                for ip in owned.into_iter().flatten() {
                    oracle.released.insert(ip, now);
                }
                oracle.forget_strangers();
            }
            Op::Crash(seed) => {
                std::fs::write(dir.join(".c99@eth0.json.tmp"), b"{\"contai").unwrap();
                records = Records::open(dir, &oracle.cidrs, seed).unwrap();
                oracle.released.clear();
            }
            Op::Wait(ms) => now += Duration::from_millis(ms),
            Op::Cidrs(which) => {
                oracle.cidrs = cidrs(which);
                oracle.forget_strangers();
                records.set_cidrs(&oracle.cidrs).unwrap();
            }
        }
        oracle.check_usage(&records);
    }
    empty_and_fill(&mut records, oracle, now);
}

/// Whatever happened: with all pods gone, every address can be given.
fn empty_and_fill(records: &mut Records, mut oracle: Oracle, now: Instant) {
    for id in std::mem::take(&mut oracle.owned).into_keys() {
        records.release(&attachment(id), now).unwrap();
    }
    oracle.released.clear();
    let families = [true, false].into_iter().filter(|v4| oracle.has(*v4));
    let room = families.map(|v4| oracle.free(v4).len()).min().unwrap();
    let later = now + Duration::from_secs(31);
    for id in 0..room as u8 {
        let given = add(records, 100 + id, later);
        oracle.check_add(100 + id, given, later);
    }
    assert!(matches!(add(records, 255, later), Err(Error::Full { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_address_is_given_twice_or_leaked(
        start in 0..CIDRS.len(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let dir = directory();
        live(dir.path(), start, ops);
    }

    /// As long as the agent lives or restarts, with room for it, an address comes back only
    /// after all others were given.
    #[test]
    fn addresses_are_given_in_turn_also_across_restarts(
        crashes in prop::collection::vec(any::<bool>(), 40),
    ) {
        let dir = directory();
        let cidrs = cidrs(1);
        let mut now = Instant::now();
        let mut records = Records::open(dir.path(), &cidrs, 3).unwrap();
        let mut given = Vec::new();
        for (i, crash) in crashes.into_iter().enumerate() {
            given.extend(add(&mut records, i as u8, now).unwrap());
            now += Duration::from_millis(1);
            records.release(&attachment(i as u8), now).unwrap();
            if crash {
                records = Records::open(dir.path(), &cidrs, i as u64).unwrap();
            }
        }
        for turn in given.windows(5) {
            prop_assert_eq!(turn.iter().collect::<BTreeSet<_>>().len(), 5, "{:?}", turn);
        }
    }
}
