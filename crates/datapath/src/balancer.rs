//! Services in the kernel: frontends, runs of slots, backends. A change writes the new run beside the
//! old, flips the frontend, and frees what nothing uses any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::BorrowedFd;

use aya::maps::{Array, MapData};
use fairlead_model::{Addr, ObjectName};
use fairlead_services::{FrontendSpec, Ids, Run, Slots};
use tracing::warn;

use crate::Error;
use crate::contract::{Backend, Frontend, FrontendKey, Slot};
use crate::sys;
use crate::table::{Hash, describe};

/// How long a freed run, backend or number is not used again: programs that began before the
/// frontend was flipped have long ended by then.
const REST_MS: u64 = 1000;

const SLOTS: &str = "fl_slots";
const BACKENDS: &str = "fl_backends";
const FRONTENDS: &str = "fl_frontends";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BackendKey {
    addr: Addr,
    port: u16,
    proto: u8,
}

#[derive(Debug)]
struct BackendEntry {
    id: u32,
    users: u32,
}

#[derive(Debug)]
struct Programmed {
    service: u32,
    run: Run,
    generation: u16,
    backends: Vec<BackendKey>,
    /// Unknown after a restart, until the Service is applied.
    owner: Option<ObjectName>,
}

/// What the kernel knows of Services, and the maps to change it.
pub struct Balancer {
    frontends: Hash<FrontendKey, Frontend>,
    slots: Array<MapData, Slot>,
    backends: Array<MapData, Backend>,
    runs: Slots,
    backend_ids: Ids,
    service_ids: Ids,
    programmed: BTreeMap<FrontendKey, Programmed>,
    by_backend: HashMap<BackendKey, BackendEntry>,
    owners: BTreeMap<ObjectName, BTreeSet<FrontendKey>>,
}

impl Balancer {
    /// Reads what the kernel has: the state after a restart is the state before it.
    pub(crate) fn new(
        frontends: Hash<FrontendKey, Frontend>,
        slots: Array<MapData, Slot>,
        backends: Array<MapData, Backend>,
        backends_fd: BorrowedFd<'_>,
    ) -> Result<Self, Error> {
        let mut balancer = Balancer {
            runs: Slots::new(slots.len(), REST_MS),
            backend_ids: Ids::new(1..backends.len(), REST_MS),
            service_ids: Ids::new(1..u32::MAX, REST_MS),
            frontends,
            slots,
            backends,
            programmed: BTreeMap::new(),
            by_backend: HashMap::new(),
            owners: BTreeMap::new(),
        };
        balancer.recover(backends_fd)?;
        Ok(balancer)
    }

    fn recover(&mut self, backends_fd: BorrowedFd<'_>) -> Result<(), Error> {
        for (key, frontend) in self.frontends.entries()? {
            if !self.adopt(key, frontend)? {
                // two owners of one place, or a slot of another: cannot happen, but must not stay
                warn!(addr = %Addr(key.addr), "a frontend in the kernel contradicts another: it is made anew");
                self.frontends.remove(&key)?;
            }
        }
        self.drop_unused_backends(backends_fd)
    }

    /// Takes one frontend as it is found. `false` where it cannot be true.
    fn adopt(&mut self, key: FrontendKey, frontend: Frontend) -> Result<bool, Error> {
        let run = Run { start: frontend.run as u32, len: (frontend.run >> 32) as u32 & 0xffff };
        let mut found = Vec::new();
        for index in run.start..run.start.saturating_add(run.len) {
            let Ok(slot) = self.slots.get(&index, 0) else { return Ok(false) };
            let Ok(backend) = self.backends.get(&slot.backend, 0) else { return Ok(false) };
            if slot.service != frontend.service || backend.proto != key.proto {
                return Ok(false);
            }
            let port = u16::from_be(backend.port);
            found.push((
                slot.backend,
                BackendKey { addr: Addr(backend.addr), port, proto: key.proto },
            ));
        }
        if !self.service_ids.occupy(frontend.service) {
            return Ok(false);
        }
        if !self.runs.occupy(run) {
            let _given = self.service_ids.free(frontend.service, 0);
            return Ok(false);
        }
        for (id, backend) in &found {
            let _first = self.backend_ids.occupy(*id);
            self.by_backend.entry(*backend).or_insert(BackendEntry { id: *id, users: 0 }).users +=
                1;
        }
        let programmed = Programmed {
            service: frontend.service,
            run,
            generation: (frontend.run >> 48) as u16,
            backends: found.into_iter().map(|(_, backend)| backend).collect(),
            owner: None,
        };
        self.programmed.insert(key, programmed);
        Ok(true)
    }

    /// Backends that an agent wrote just before it was killed, and nothing names.
    fn drop_unused_backends(&mut self, fd: BorrowedFd<'_>) -> Result<(), Error> {
        let used: BTreeSet<u32> = self.by_backend.values().map(|b| b.id).collect();
        let mut unused = Vec::new();
        sys::each(fd, |id: u32, backend: Backend| {
            if backend.proto != 0 && !used.contains(&id) {
                unused.push((id, backend));
            }
        })
        .map_err(|e| Error::map(BACKENDS, "list", e))?;
        unused.into_iter().try_for_each(|(id, backend)| self.end_backend(id, backend))
    }

    /// Makes the kernel's frontends of `service` those given; `now` in milliseconds of a clock that
    /// does not go back. Answers how many were written or removed.
    pub fn apply(
        &mut self,
        service: &ObjectName,
        wanted: &[FrontendSpec],
        now: u64,
    ) -> Result<usize, Error> {
        let mut changes = 0;
        let keys: BTreeSet<FrontendKey> = wanted.iter().map(key_of).collect();
        // known before they are written: what an error leaves half done can be taken away again
        self.owners.entry(service.clone()).or_default().extend(&keys);
        for spec in wanted {
            let key = key_of(spec);
            changes += usize::from(self.program(key, spec, now)?);
            if let Some(programmed) = self.programmed.get_mut(&key) {
                programmed.owner = Some(service.clone());
            }
        }
        let before = if keys.is_empty() {
            self.owners.remove(service)
        } else {
            self.owners.insert(service.clone(), keys.clone())
        };
        for key in before.unwrap_or_default().difference(&keys) {
            // another Service may have taken the address over already
            if self.programmed.get(key).is_some_and(|p| p.owner.as_ref() == Some(service)) {
                self.unprogram(key, now)?;
                changes += 1;
            }
        }
        Ok(changes)
    }

    /// Removes frontends that no Service has: to be called once all Services have been applied.
    pub fn prune(&mut self, now: u64) -> Result<usize, Error> {
        let unowned = self.programmed.iter().filter(|(_, p)| p.owner.is_none());
        let stale: Vec<FrontendKey> = unowned.map(|(key, _)| *key).collect();
        for key in &stale {
            self.unprogram(key, now)?;
        }
        Ok(stale.len())
    }

    /// Number of frontends and of backends.
    pub fn counts(&self) -> (usize, usize) {
        (self.programmed.len(), self.by_backend.len())
    }

    /// Entries of the slot array in use, and its size.
    pub fn slots_in_use(&self) -> (u32, u32) {
        (self.runs.in_use(), self.runs.capacity())
    }

    fn program(&mut self, key: FrontendKey, spec: &FrontendSpec, now: u64) -> Result<bool, Error> {
        let wanted: Vec<BackendKey> = spec
            .backends
            .iter()
            .map(|b| BackendKey { addr: b.addr, port: b.port, proto: key.proto })
            .collect();
        if self.programmed.get(&key).is_some_and(|there| there.backends == wanted) {
            return Ok(false);
        }
        let (service, generation) = match self.programmed.get(&key) {
            Some(there) => (there.service, there.generation.wrapping_add(1)),
            None => (self.number(now)?, 0),
        };
        let run = match self.write_frontend(key, service, generation, &wanted, now) {
            Ok(run) => run,
            Err(e) => {
                if !self.programmed.contains_key(&key) {
                    let _given = self.service_ids.free(service, now);
                }
                return Err(e);
            }
        };
        let new = Programmed { service, run, generation, backends: wanted, owner: None };
        let old = self.programmed.insert(key, new);
        if let Some(old) = old {
            self.release(old.run, &old.backends, now)?;
        }
        Ok(true)
    }

    /// The new run and the frontend that leads to it, or neither.
    fn write_frontend(
        &mut self,
        key: FrontendKey,
        service: u32,
        generation: u16,
        wanted: &[BackendKey],
        now: u64,
    ) -> Result<Run, Error> {
        let run = self.write_run(service, wanted, now)?;
        let value = Frontend {
            run: u64::from(run.start) | u64::from(run.len) << 32 | u64::from(generation) << 48,
            service,
            pad: 0,
        };
        if let Err(e) = self.frontends.put(&key, &value) {
            self.release(run, wanted, now)?;
            return Err(e);
        }
        Ok(run)
    }

    fn number(&mut self, now: u64) -> Result<u32, Error> {
        let full = || Error::Full { map: FRONTENDS, max: u32::MAX, what: "a Service port".into() };
        self.service_ids.allocate(now).ok_or_else(full)
    }

    fn write_run(&mut self, service: u32, wanted: &[BackendKey], now: u64) -> Result<Run, Error> {
        let len = wanted.len() as u32;
        let run = self.runs.allocate(len, now).ok_or_else(|| Error::Full {
            map: SLOTS,
            max: self.runs.capacity(),
            what: format!("a Service port with {len} endpoints"),
        })?;
        for (n, (index, backend)) in (run.start..).zip(wanted).enumerate() {
            if let Err(e) = self.write_slot(index, service, *backend, now) {
                self.release(run, &wanted[..n], now)?;
                return Err(e);
            }
        }
        Ok(run)
    }

    fn write_slot(
        &mut self,
        index: u32,
        service: u32,
        backend: BackendKey,
        now: u64,
    ) -> Result<(), Error> {
        let slot = Slot { backend: self.acquire(backend, now)?, service };
        self.slots.set(index, slot, 0).map_err(|e| Error::map(SLOTS, "write", describe(&e)))
    }

    fn acquire(&mut self, key: BackendKey, now: u64) -> Result<u32, Error> {
        if let Some(entry) = self.by_backend.get_mut(&key) {
            entry.users += 1;
            return Ok(entry.id);
        }
        let id = self.backend_ids.allocate(now).ok_or_else(|| Error::Full {
            map: BACKENDS,
            max: self.backend_ids.capacity(),
            what: format!("endpoint {}", std::net::SocketAddr::new(key.addr.ip(), key.port)),
        })?;
        let generation = self.backends.get(&id, 0).map_or(0, |b| b.generation).wrapping_add(1);
        let value = Backend {
            addr: key.addr.0,
            port: key.port.to_be(),
            proto: key.proto,
            pad: 0,
            generation,
        };
        self.backends.set(id, value, 0).map_err(|e| Error::map(BACKENDS, "write", describe(&e)))?;
        self.by_backend.insert(key, BackendEntry { id, users: 1 });
        Ok(id)
    }

    fn unprogram(&mut self, key: &FrontendKey, now: u64) -> Result<(), Error> {
        self.frontends.remove(key)?;
        if let Some(old) = self.programmed.remove(key) {
            let _given = self.service_ids.free(old.service, now);
            self.release(old.run, &old.backends, now)?;
        }
        Ok(())
    }

    fn release(&mut self, run: Run, backends: &[BackendKey], now: u64) -> Result<(), Error> {
        let _given = self.runs.free(run, now);
        for key in backends {
            let Some(entry) = self.by_backend.get_mut(key) else { continue };
            entry.users -= 1;
            if entry.users > 0 {
                continue;
            }
            let id = entry.id;
            self.by_backend.remove(key);
            let _given = self.backend_ids.free(id, now);
            if let Ok(backend) = self.backends.get(&id, 0) {
                self.end_backend(id, backend)?;
            }
        }
        Ok(())
    }

    /// Datagram flows notice by the generation that their backend is gone.
    fn end_backend(&mut self, id: u32, old: Backend) -> Result<(), Error> {
        let ended = Backend { generation: old.generation.wrapping_add(1), ..Backend::default() };
        self.backends.set(id, ended, 0).map_err(|e| Error::map(BACKENDS, "write", describe(&e)))
    }
}

fn key_of(spec: &FrontendSpec) -> FrontendKey {
    FrontendKey {
        addr: spec.addr.0,
        port: spec.port.to_be(),
        proto: spec.protocol.number(),
        pad: 0,
    }
}
