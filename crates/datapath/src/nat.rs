//! Translations whose flow has ended leave the maps before pressure makes them.

use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{HashMap, MapData};

use crate::Error;
use crate::contract::{NAT_CLOSING, Nat, Tuple};
use crate::sys;
use crate::table::describe;

/// Seconds without a packet after which an entry goes.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP that has seen FIN or RST: longer than TIME-WAIT of Linux, as bpf/ports.h has it.
    pub closing: u32,
    /// TCP, not established.
    pub opening: u32,
    /// Established TCP (RFC 5382, REQ-5 asks for at least 2 hours 4 minutes).
    pub established: u32,
    /// Everything else (RFC 4787, REQ-5 asks for at least 2 minutes).
    pub other: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { closing: 65, opening: 60, established: 8 * 3600, other: 180 }
    }
}

impl Timeouts {
    fn of(&self, established: bool, tuple: &Tuple, nat: &Nat) -> u32 {
        match tuple.proto {
            6 if nat.flags & NAT_CLOSING != 0 => self.closing,
            6 if established => self.established,
            6 => self.opening,
            _ => self.other,
        }
    }
}

/// One of the two maps.
#[derive(Debug)]
pub struct Translations {
    pub(crate) name: &'static str,
    pub(crate) established: bool,
    pub(crate) map: HashMap<MapData, Tuple, Nat>,
    pub(crate) fd: OwnedFd,
    pub(crate) max_entries: u32,
}

impl Translations {
    /// The map's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Entries that it can have.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Removes what has timed out at `now` (seconds of CLOCK_MONOTONIC). Answers how many entries
    /// were there and how many were removed.
    pub fn collect(&mut self, now: u32, timeouts: &Timeouts) -> Result<(usize, usize), Error> {
        let (mut seen, mut ended) = (0, Vec::new());
        sys::each(self.fd.as_fd(), |key: Tuple, nat: Nat| {
            seen += 1;
            if now.saturating_sub(nat.seen) > timeouts.of(self.established, &key, &nat) {
                ended.push(key);
            }
        })
        .map_err(|e| Error::map(self.name, "list", e))?;
        let removed = ended.iter().filter(|key| self.map.remove(key).is_ok()).count();
        Ok((seen, removed))
    }

    /// All entries, for tests and tools.
    pub fn entries(&self) -> Result<Vec<(Tuple, Nat)>, Error> {
        let entries: Result<_, _> = self.map.iter().collect();
        entries.map_err(|e| Error::map(self.name, "list", describe(&e)))
    }
}
