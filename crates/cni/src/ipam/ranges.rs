//! All CIDRs of a node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::cidr;
use super::range::Range;
use crate::Error;

/// What a pod gets: an address of each family that the node has CIDRs of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<Ipv4Addr>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// Those that there are, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// How full a CIDR is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The CIDR.
    pub cidr: IpNet,
    /// Addresses that pods have.
    pub in_use: u128,
    /// Addresses that pods could have, those in use included.
    pub usable: u128,
}

/// Which addresses are free, and which is next.
///
/// Addresses are given in turn, each family from its first CIDR that has one, so that one is not
/// given again soon; one that was released within the last 30 seconds is given only when nothing
/// else is free. Never given are a CIDR's network address, its first address (the node's) and
/// IPv4's broadcast address.
#[derive(Clone, Debug)]
pub struct Ranges {
    ranges: Vec<Range>,
    seed: u64,
}

impl Ranges {
    /// Ranges of which nothing is used yet. The seed says where in them to begin.
    pub fn new(cidrs: &[IpNet], seed: u64) -> Result<Ranges, Error> {
        cidr::check(cidrs)?;
        Ok(Ranges { ranges: cidrs.iter().map(|cidr| Range::new(*cidr, seed)).collect(), seed })
    }

    /// Gives an address of each family that there are CIDRs of: all of them or none.
    pub fn allocate(&mut self, now: Instant) -> Result<Addresses, Error> {
        let v4 = self.next(is_v4, now)?;
        let v6 = self.next(is_v6, now)?;
        if v4.is_none() && v6.is_none() {
            return Err(Error::NoCidr);
        }
        let mut addresses = Addresses::default();
        for (range, offset) in [v4, v6].into_iter().flatten() {
            match self.ranges[range].take(offset) {
                IpAddr::V4(ip) => addresses.v4 = Some(ip),
                IpAddr::V6(ip) => addresses.v6 = Some(ip),
            }
        }
        Ok(addresses)
    }

    /// The range and offset to give next; none where the node has no CIDR of the family.
    fn next(
        &self,
        family: fn(&IpNet) -> bool,
        now: Instant,
    ) -> Result<Option<(usize, u128)>, Error> {
        let ranges =
            || self.ranges.iter().enumerate().filter(move |(_, range)| family(&range.cidr));
        let fresh = ranges().find_map(|(i, range)| Some((i, range.next_fresh(now)?)));
        let rested = || {
            let each = ranges().filter_map(|(i, range)| Some((range.longest_resting()?, i)));
            each.min().map(|((_, offset), i)| (i, offset))
        };
        let found = fresh.or_else(rested);
        if found.is_none() && ranges().next().is_some() {
            let cidrs: Vec<String> = ranges().map(|(_, range)| range.cidr.to_string()).collect();
            return Err(Error::Full {
                cidrs: cidrs.join(", "),
                in_use: ranges().map(|(_, range)| range.in_use()).sum(),
                usable: ranges().map(|(_, range)| range.usable()).sum(),
            });
        }
        Ok(found)
    }

    /// Marks an address as used; one that these ranges never give is passed over.
    pub fn claim(&mut self, ip: IpAddr) {
        self.ranges.iter_mut().for_each(|range| range.claim(ip));
    }

    /// Goes on behind `ip`, as if it had been given just now.
    pub fn resume_after(&mut self, ip: IpAddr) {
        self.ranges.iter_mut().for_each(|range| range.resume_after(ip));
    }

    /// Frees an address; one that isn't used is passed over.
    pub fn release(&mut self, ip: IpAddr, now: Instant) {
        self.ranges.iter_mut().for_each(|range| range.release(ip, now));
    }

    /// Replaces the CIDRs. A CIDR that stays keeps what it knows; addresses go on resting in any.
    /// Of a new one nothing is used until the caller claims what it knows to be.
    pub fn replace(&mut self, cidrs: &[IpNet]) -> Result<(), Error> {
        let mut new = Ranges::new(cidrs, self.seed)?;
        for range in &mut new.ranges {
            if let Some(old) = self.ranges.iter().find(|old| old.cidr == range.cidr) {
                *range = old.clone();
                continue;
            }
            self.ranges
                .iter()
                .flat_map(Range::resting)
                .for_each(|(ip, since)| range.rest(ip, since));
        }
        *self = new;
        Ok(())
    }

    /// How full each CIDR is.
    pub fn usage(&self) -> Vec<Usage> {
        let usage = |range: &Range| Usage {
            cidr: range.cidr,
            in_use: range.in_use(),
            usable: range.usable(),
        };
        self.ranges.iter().map(usage).collect()
    }
}

fn is_v4(cidr: &IpNet) -> bool {
    matches!(cidr, IpNet::V4(_))
}

fn is_v6(cidr: &IpNet) -> bool {
    matches!(cidr, IpNet::V6(_))
}

#[cfg(test)]
mod tests;
