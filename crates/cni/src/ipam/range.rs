//! One CIDR. Addresses are offsets from its first one, so both families are the same; nothing
//! walks over the range, which may have 2^112 addresses.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// How long an address rests after its pod is gone: other nodes, clients and name caches may
/// still send to it, and those packets should find nobody rather than somebody else.
pub(super) const REST: Duration = Duration::from_secs(30);

/// The network's own address (IPv6: the routers' anycast address, RFC 4291 2.6.1) and the first,
/// which is the node's.
const FIRST: u128 = 2;

/// How far into a range a seed may reach: IPv6 addresses stay short enough to be read aloud.
const SPREAD: u128 = 1 << 16;

#[derive(Clone, Debug)]
pub(super) struct Range {
    pub cidr: IpNet,
    /// The last offset that a pod can have.
    last: u128,
    /// Where the search begins: behind the address given last.
    cursor: u128,
    used: HashSet<u128>,
    resting: HashMap<u128, Instant>,
}

impl Range {
    /// `cidr` is one that `cidr::check` accepts.
    pub fn new(cidr: IpNet, seed: u64) -> Range {
        let (bits, broadcast) = match cidr {
            IpNet::V4(_) => (32, 1),
            IpNet::V6(_) => (128, 0),
        };
        let last = (1u128 << (bits - cidr.prefix_len())) - 1 - broadcast;
        let cursor = FIRST + u128::from(seed) % (last - FIRST + 1).min(SPREAD);
        Range { cidr, last, cursor, used: HashSet::new(), resting: HashMap::new() }
    }

    pub fn usable(&self) -> u128 {
        self.last - FIRST + 1
    }

    pub fn in_use(&self) -> u128 {
        self.used.len() as u128
    }

    /// The next address that is neither used nor resting.
    pub fn next_fresh(&self, now: Instant) -> Option<u128> {
        let blocked = self.used.len() + self.resting.len();
        let mut candidate = self.cursor;
        // Of one more candidate than are blocked, one is free, if there are so many.
        for _ in 0..self.usable().min(blocked as u128 + 1) {
            if !self.used.contains(&candidate) && !self.rests(candidate, now) {
                return Some(candidate);
            }
            candidate = self.after(candidate);
        }
        None
    }

    /// The address that has rested longest, and since when.
    pub fn longest_resting(&self) -> Option<(Instant, u128)> {
        self.resting.iter().map(|(offset, since)| (*since, *offset)).min()
    }

    pub fn take(&mut self, offset: u128) -> IpAddr {
        self.used.insert(offset);
        self.resting.remove(&offset);
        self.cursor = self.after(offset);
        self.ip(offset)
    }

    /// Marks an address as used that was given earlier.
    pub fn claim(&mut self, ip: IpAddr) {
        if let Some(offset) = self.offset(ip) {
            self.used.insert(offset);
            self.resting.remove(&offset);
        }
    }

    /// Goes on behind `ip`, as if it had been given just now.
    pub fn resume_after(&mut self, ip: IpAddr) {
        if let Some(offset) = self.offset(ip) {
            self.cursor = self.after(offset);
        }
    }

    pub fn release(&mut self, ip: IpAddr, now: Instant) {
        self.resting.retain(|_, since| now.saturating_duration_since(*since) < REST);
        if let Some(offset) = self.offset(ip)
            && self.used.remove(&offset)
        {
            self.resting.insert(offset, now);
        }
    }

    /// The addresses that rest, and since when.
    pub fn resting(&self) -> impl Iterator<Item = (IpAddr, Instant)> {
        self.resting.iter().map(|(offset, since)| (self.ip(*offset), *since))
    }

    /// Lets an address rest that another range knows of.
    pub fn rest(&mut self, ip: IpAddr, since: Instant) {
        if let Some(offset) = self.offset(ip) {
            self.resting.insert(offset, since);
        }
    }

    fn ip(&self, offset: u128) -> IpAddr {
        match self.cidr.network() {
            // The offset is below 2^24 here, since the prefix is /8 at the shortest.
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) + offset as u32).into()),
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) + offset).into()),
        }
    }

    /// None for an address that this range never gives.
    fn offset(&self, ip: IpAddr) -> Option<u128> {
        if !self.cidr.contains(&ip) {
            return None;
        }
        let offset = match (ip, self.cidr.network()) {
            (IpAddr::V4(ip), IpAddr::V4(net)) => u128::from(u32::from(ip) - u32::from(net)),
            (IpAddr::V6(ip), IpAddr::V6(net)) => u128::from(ip) - u128::from(net),
            _ => return None,
        };
        (FIRST..=self.last).contains(&offset).then_some(offset)
    }

    fn rests(&self, offset: u128, now: Instant) -> bool {
        let since = self.resting.get(&offset);
        since.is_some_and(|since| now.saturating_duration_since(*since) < REST)
    }

    fn after(&self, offset: u128) -> u128 {
        if offset >= self.last { FIRST } else { offset + 1 }
    }
}
