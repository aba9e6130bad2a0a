//! Nodes and the cluster's ranges in, the ranges of nodes that have none out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::Error;

/// The cluster's ranges: families in the order in which they were named, which is the order of
/// `spec.podCIDRs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(Vec<Family>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Family {
    ipv4: bool,
    /// The prefix length of a node's range.
    size: u8,
    ranges: Vec<IpNet>,
}

/// What to do about nodes without a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The ranges that nodes get, one a family.
    pub give: BTreeMap<String, Vec<IpNet>>,
    /// Nodes for which a family has nothing left. They get none of the other family either: a
    /// node's ranges can be set only once.
    pub full: Vec<String>,
}

/// First and last address, as numbers.
type Block = (u128, u128);

impl Ranges {
    /// The ranges, checked.
    ///
    /// # Errors
    ///
    /// The first range that cannot be used.
    pub fn new(cidrs: &[IpNet], size_v4: u8, size_v6: u8) -> Result<Self, Error> {
        let mut families: Vec<Family> = Vec::new();
        for (i, range) in cidrs.iter().map(IpNet::trunc).enumerate() {
            let ipv4 = matches!(range, IpNet::V4(_));
            let size = if ipv4 { size_v4 } else { size_v6 };
            if size > range.max_prefix_len() {
                return Err(Error::BadSize(size));
            }
            if size < range.prefix_len() {
                return Err(Error::TooSmall { range, size });
            }
            if let Some(other) = cidrs[..i].iter().find(|o| overlap(o, &range)) {
                return Err(Error::Overlap(*other, range));
            }
            match families.iter_mut().find(|f| f.ipv4 == ipv4) {
                Some(family) => family.ranges.push(range),
                None => families.push(Family { ipv4, size, ranges: vec![range] }),
            }
        }
        Ok(Self(families))
    }

    /// The lowest free ranges for nodes that have none, nodes in the order of their names. `nodes`
    /// must be all nodes of the cluster.
    pub fn plan(&self, nodes: &BTreeMap<String, Vec<IpNet>>) -> Plan {
        let wanting: Vec<_> = nodes.iter().filter(|(_, has)| has.is_empty()).collect();
        let mut plan = Plan::default();
        if wanting.is_empty() {
            return plan;
        }
        let mut free: Vec<_> = self.0.iter().map(|family| family.free(nodes)).collect();
        for (name, _) in wanting {
            let got: Vec<IpNet> = free.iter_mut().map_while(Free::next).collect();
            if got.len() == self.0.len() {
                plan.give.insert(name.clone(), got);
            } else {
                // What was taken of the other family is lost to this plan alone.
                plan.full.push(name.clone());
            }
        }
        plan
    }
}

impl Family {
    fn free(&self, nodes: &BTreeMap<String, Vec<IpNet>>) -> Free<'_> {
        let taken = nodes
            .values()
            .flatten()
            .filter(|cidr| matches!(cidr, IpNet::V4(_)) == self.ipv4)
            .map(block)
            .collect();
        Free { family: self, taken, range: 0, at: None }
    }

    /// Addresses of a node's range.
    fn step(&self) -> u128 {
        let bits = if self.ipv4 { 32 } else { 128 };
        1u128.checked_shl(bits - u32::from(self.size)).unwrap_or(u128::MAX)
    }

    fn net(&self, first: u128) -> IpNet {
        let proof = "a size that was checked when the configuration was read";
        if self.ipv4 {
            let first = u32::try_from(first).expect("an address inside of an IPv4 range");
            Ipv4Net::new(Ipv4Addr::from(first), self.size).expect(proof).into()
        } else {
            Ipv6Net::new(Ipv6Addr::from(first), self.size).expect(proof).into()
        }
    }
}

/// Goes through a family's ranges, past what nodes have.
struct Free<'a> {
    family: &'a Family,
    taken: Vec<Block>,
    range: usize,
    /// The first address not yet looked at.
    at: Option<u128>,
}

impl Free<'_> {
    fn next(&mut self) -> Option<IpNet> {
        let step = self.family.step();
        while let Some(range) = self.family.ranges.get(self.range) {
            let (first, last) = block(range);
            let at = self.at.unwrap_or(first);
            let Some(end) = at.checked_add(step - 1).filter(|end| *end <= last) else {
                self.go_on(last, last, step);
                continue;
            };
            match self.taken.iter().filter(|(a, b)| *a <= end && *b >= at).map(|(_, b)| *b).max() {
                Some(busy) => self.go_on(busy, last, step),
                None => {
                    self.go_on(end, last, step);
                    return Some(self.family.net(at));
                }
            }
        }
        None
    }

    /// To the first boundary after `busy`, or to the next range.
    fn go_on(&mut self, busy: u128, last: u128, step: u128) {
        self.at = (busy < last).then(|| (busy / step + 1).saturating_mul(step));
        if self.at.is_none() {
            self.range += 1;
        }
    }
}

fn block(net: &IpNet) -> Block {
    match net {
        IpNet::V4(v4) => (u32::from(v4.network()).into(), u32::from(v4.broadcast()).into()),
        IpNet::V6(v6) => (v6.network().into(), v6.broadcast().into()),
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests;
