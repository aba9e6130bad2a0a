//! The Services and endpoints of the cluster as the watches tell them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fairlead_model::{Addr, EndpointSlice, Event, Kind, Object, ObjectName, Service};

use crate::compact::{NodeNames, Slice, Spec};
use crate::frontends::frontends;
use crate::problem::special;
use crate::{FrontendSpec, Problem};

/// Everything that load-balancing tables are made of.
#[derive(Debug, Default)]
pub struct State {
    entries: BTreeMap<Arc<ObjectName>, Entry>,
    /// Which Service a slice belongs to, by the slice's name.
    slices: HashMap<ObjectName, Arc<ObjectName>>,
    /// The Services that claim a cluster address, sorted by name: the first has it.
    claims: HashMap<Addr, Vec<Arc<ObjectName>>>,
    nodes: NodeNames,
}

/// A Service's name, with the Service, its slices or both.
#[derive(Debug, Default)]
struct Entry {
    spec: Option<Listed<Spec>>,
    slices: BTreeMap<Box<str>, Listed<Slice>>,
}

/// An object, and whether the list that runs has yet to name it.
#[derive(Debug)]
struct Listed<T> {
    object: T,
    stale: bool,
}

impl State {
    /// A state that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what a watch said; returns the Services whose frontends may have changed.
    ///
    /// Other kinds than Service and EndpointSlice are ignored. An object that says again what it
    /// said changes nothing. Where a cluster address changes hands, both Services are returned: take
    /// away what is to go before you add what is new.
    pub fn apply(&mut self, event: &Event) -> BTreeSet<ObjectName> {
        let mut dirty = BTreeSet::new();
        match event {
            Event::Apply(Object::Service(o)) => self.apply_service(o, &mut dirty),
            Event::Apply(Object::EndpointSlice(o)) => self.apply_slice(o, &mut dirty),
            Event::Delete(Kind::Service, name) => self.remove_service(name, &mut dirty),
            Event::Delete(Kind::EndpointSlice, name) => self.remove_slice(name, &mut dirty),
            Event::Restart(kind) => self.mark_stale(*kind),
            Event::Synced(kind) => self.remove_stale(*kind, &mut dirty),
            Event::Apply(_) | Event::Delete(..) => {}
        }
        dirty
    }

    /// The rows of a Service: each of its cluster IPs with each of its ports, in the Service's order.
    /// Empty for Services that are gone, headless or of type ExternalName.
    pub fn frontends(&self, service: &ObjectName) -> Vec<FrontendSpec> {
        self.rows(service).0
    }

    /// What is wrong with a Service, for people.
    pub fn problems(&self, service: &ObjectName) -> Vec<Problem> {
        self.rows(service).1
    }

    /// The Services that exist, sorted by name.
    pub fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.entries.iter().filter(|(_, e)| e.spec.is_some()).map(|(name, _)| &**name)
    }

    fn rows(&self, service: &ObjectName) -> (Vec<FrontendSpec>, Vec<Problem>) {
        let Some(entry) = self.entries.get(service) else { return Default::default() };
        let Some(Listed { object: spec, .. }) = &entry.spec else { return Default::default() };
        let (own, taken): (Vec<Addr>, Vec<Addr>) =
            spec.cluster_ips.iter().partition(|addr| self.owner(addr) == Some(service));
        let (odd, own): (Vec<Addr>, Vec<Addr>) =
            own.into_iter().partition(|addr| special(addr).is_some());
        let (rows, mut problems) =
            frontends(spec, &own, entry.slices.values().map(|slice| &slice.object));
        problems.extend(
            odd.into_iter()
                .filter_map(|addr| Some(Problem::AddressUnusable { addr, kind: special(&addr)? })),
        );
        problems.extend(taken.into_iter().filter_map(|addr| {
            Some(Problem::AddressTaken { addr, by: self.owner(&addr)?.clone() })
        }));
        (rows, problems)
    }

    fn owner(&self, addr: &Addr) -> Option<&ObjectName> {
        self.claims.get(addr)?.first().map(|name| &**name)
    }

    fn apply_service(&mut self, service: &Service, dirty: &mut BTreeSet<ObjectName>) {
        let spec = Spec::new(service);
        let name = self.key(&service.name);
        let entry = self.entries.entry(name.clone()).or_default();
        if let Some(held) = &mut entry.spec
            && held.object == spec
        {
            held.stale = false;
            return;
        }
        let new = spec.cluster_ips.clone();
        let old = entry.spec.replace(Listed { object: spec, stale: false });
        for addr in old.iter().flat_map(|old| &old.object.cluster_ips) {
            self.disclaim(addr, &name, dirty);
        }
        for addr in new {
            self.claim(addr, &name, dirty);
        }
        dirty.insert((*name).clone());
    }

    fn remove_service(&mut self, name: &ObjectName, dirty: &mut BTreeSet<ObjectName>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(old) = entry.spec.take() else { return };
        for addr in &old.object.cluster_ips {
            self.disclaim(addr, name, dirty);
        }
        dirty.insert(name.clone());
        self.forget_if_empty(name);
    }

    fn apply_slice(&mut self, slice: &EndpointSlice, dirty: &mut BTreeSet<ObjectName>) {
        let service = ObjectName::new(&*slice.name.namespace, &*slice.service);
        if self.slices.get(&slice.name).is_some_and(|held| **held != service) {
            self.remove_slice(&slice.name, dirty);
        }
        // A slice without the label is of no Service: it is somebody's own (EndpointSlice API).
        if service.name.is_empty() {
            return;
        }
        let object = Slice::new(slice, &mut self.nodes);
        let key = self.key(&service);
        let entry = self.entries.entry(key.clone()).or_default();
        let held = entry.slices.get_mut(&*slice.name.name);
        match held {
            Some(held) if held.object == object => held.stale = false,
            Some(held) => {
                *held = Listed { object, stale: false };
                dirty.insert(service);
            }
            None => {
                entry.slices.insert((*slice.name.name).into(), Listed { object, stale: false });
                self.slices.insert(slice.name.clone(), key);
                dirty.insert(service);
            }
        }
    }

    fn remove_slice(&mut self, name: &ObjectName, dirty: &mut BTreeSet<ObjectName>) {
        let Some(service) = self.slices.remove(name) else { return };
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.slices.remove(&*name.name);
        }
        dirty.insert((*service).clone());
        self.forget_if_empty(&service);
    }

    fn mark_stale(&mut self, kind: Kind) {
        for entry in self.entries.values_mut() {
            match kind {
                Kind::Service => entry.spec.iter_mut().for_each(|s| s.stale = true),
                Kind::EndpointSlice => entry.slices.values_mut().for_each(|s| s.stale = true),
                _ => return,
            }
        }
    }

    fn remove_stale(&mut self, kind: Kind, dirty: &mut BTreeSet<ObjectName>) {
        let mut gone = Vec::new();
        for (name, entry) in &self.entries {
            match kind {
                Kind::Service if entry.spec.as_ref().is_some_and(|s| s.stale) => {
                    gone.push((**name).clone());
                }
                Kind::EndpointSlice => {
                    let stale = entry.slices.iter().filter(|(_, s)| s.stale);
                    gone.extend(
                        stale.map(|(slice, _)| ObjectName::new(&*name.namespace, &**slice)),
                    );
                }
                _ => {}
            }
        }
        for name in gone {
            match kind {
                Kind::Service => self.remove_service(&name, dirty),
                _ => self.remove_slice(&name, dirty),
            }
        }
        self.nodes.prune();
    }

    /// The name as it is held, so that it is held once.
    fn key(&self, name: &ObjectName) -> Arc<ObjectName> {
        match self.entries.get_key_value(name) {
            Some((held, _)) => held.clone(),
            None => Arc::new(name.clone()),
        }
    }

    fn forget_if_empty(&mut self, name: &ObjectName) {
        if self.entries.get(name).is_some_and(|e| e.spec.is_none() && e.slices.is_empty()) {
            self.entries.remove(name);
        }
    }

    fn claim(&mut self, addr: Addr, name: &Arc<ObjectName>, dirty: &mut BTreeSet<ObjectName>) {
        let claims = self.claims.entry(addr).or_default();
        if let Err(at) = claims.binary_search(name) {
            claims.insert(at, name.clone());
            dirty.extend(claims[at + 1..].iter().map(|other| (**other).clone()));
        }
    }

    fn disclaim(&mut self, addr: &Addr, name: &ObjectName, dirty: &mut BTreeSet<ObjectName>) {
        let Some(claims) = self.claims.get_mut(addr) else { return };
        claims.retain(|other| **other != *name);
        dirty.extend(claims.iter().map(|other| (**other).clone()));
        if claims.is_empty() {
            self.claims.remove(addr);
        }
    }
}
