//! All objects that make names, by the events that say them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairlead_model::{self as model, Addr, Event, Kind, Object, ObjectName};

use super::objects::{Service, Spec, slice, spec};

/// The kinds that make names, in the order of [`Store::lists`].
const KINDS: [Kind; 3] = [Kind::Namespace, Kind::Service, Kind::EndpointSlice];

/// A kind's lists: each begins an epoch, and an object belongs to the last that named it.
#[derive(Clone, Copy, Default)]
struct List {
    epoch: u32,
    synced: bool,
}

/// All objects.
#[derive(Default)]
pub(super) struct Store {
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Who has an address: cluster addresses, and endpoints with host names of headless Services.
    pub(super) reverse: BTreeMap<Addr, Vec<Holder>>,
    lists: [List; KINDS.len()],
    /// Counts changes.
    pub(super) serial: u32,
}

/// A namespace, known by its object or by what is in it.
#[derive(Default)]
struct Namespace {
    /// Epoch of the Namespace object.
    declared: Option<u32>,
    services: HashMap<Arc<str>, Service>,
    /// Which Service a slice is of.
    slices: HashMap<Box<str>, Arc<str>>,
}

/// Who has an address.
#[derive(PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) namespace: Arc<str>,
    pub(super) service: Arc<str>,
    /// Of an endpoint.
    pub(super) hostname: Option<Box<str>>,
}

impl Store {
    /// Whether every kind has been read once.
    pub(super) fn ready(&self) -> bool {
        self.lists.iter().all(|l| l.synced)
    }

    /// Whether a namespace exists. Watches are not ordered: a Service proves its namespace.
    pub(super) fn namespace(&self, name: &str) -> bool {
        self.namespaces.get(name).is_some_and(|ns| {
            ns.declared.is_some() || ns.services.values().any(|s| s.spec.is_some())
        })
    }

    /// A Service whose object is known.
    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<(&Service, &Spec)> {
        let service = self.namespaces.get(namespace)?.services.get(name)?;
        Some((service, service.spec.as_ref()?))
    }

    /// Takes in what a watch says.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Apply(Object::Namespace(name)) => {
                let epoch = self.epoch(Kind::Namespace);
                self.namespace_mut(name).declared = Some(epoch);
            }
            Event::Apply(Object::Service(s)) => self.apply_service(s),
            Event::Apply(Object::EndpointSlice(s)) => self.apply_slice(s),
            Event::Apply(_) => return,
            Event::Delete(kind, name) => self.delete(*kind, name),
            Event::Restart(kind) => {
                if let Some(list) = self.list_mut(*kind) {
                    list.epoch = list.epoch.wrapping_add(1);
                }
            }
            Event::Synced(kind) => self.sweep(*kind),
        }
        self.serial = self.serial.wrapping_add(1);
    }

    fn list_mut(&mut self, kind: Kind) -> Option<&mut List> {
        KINDS.iter().position(|k| *k == kind).map(|i| &mut self.lists[i])
    }

    fn epoch(&mut self, kind: Kind) -> u32 {
        self.list_mut(kind).map_or(0, |l| l.epoch)
    }

    fn namespace_mut(&mut self, name: &str) -> &mut Namespace {
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.into(), Namespace::default());
        }
        self.namespaces.get_mut(name).expect("it has just been inserted if it was missing")
    }

    fn apply_service(&mut self, object: &model::Service) {
        let spec = spec(object, self.epoch(Kind::Service));
        self.change(&object.name.namespace, &object.name.name, |s| s.spec = Some(spec));
    }

    fn apply_slice(&mut self, object: &model::EndpointSlice) {
        let slice = slice(object, self.epoch(Kind::EndpointSlice));
        let ObjectName { namespace, name } = &object.name;
        let before = self.namespaces.get(namespace.as_str()).and_then(|n| n.slices.get(&**name));
        if before.is_some_and(|service| **service != *object.service) {
            self.delete_slice(namespace, name);
        }
        if object.service.is_empty() {
            return;
        }
        let service = self.change(namespace, &object.service, |service| {
            match service.slices.iter_mut().find(|s| s.name == slice.name) {
                Some(old) => *old = slice,
                None => {
                    // Nearly all Services have one slice a family.
                    service.slices.reserve_exact(1);
                    service.slices.push(slice);
                }
            }
        });
        self.namespace_mut(namespace).slices.insert(name.as_str().into(), service);
    }

    fn delete(&mut self, kind: Kind, name: &ObjectName) {
        match kind {
            Kind::Namespace => {
                if let Some(ns) = self.namespaces.get_mut(name.name.as_str()) {
                    ns.declared = None;
                }
                self.forget_empty(&name.name);
            }
            Kind::Service if self.service(&name.namespace, &name.name).is_some() => {
                self.change(&name.namespace, &name.name, |s| s.spec = None);
                self.forget_empty(&name.namespace);
            }
            Kind::EndpointSlice => {
                self.delete_slice(&name.namespace, &name.name);
                self.forget_empty(&name.namespace);
            }
            Kind::Service | Kind::Node | Kind::Pod => {}
        }
    }

    fn delete_slice(&mut self, namespace: &str, name: &str) {
        let Some(ns) = self.namespaces.get_mut(namespace) else { return };
        let Some(service) = ns.slices.remove(name) else { return };
        self.change(namespace, &service, |s| s.slices.retain(|slice| *slice.name != *name));
    }

    /// What a list did not name is gone at its end.
    fn sweep(&mut self, kind: Kind) {
        let Some(list) = self.list_mut(kind) else { return };
        list.synced = true;
        let epoch = list.epoch;
        let mut gone = Vec::new();
        for (namespace, ns) in &self.namespaces {
            let mut old = |name: &str, of: u32| {
                if of != epoch {
                    gone.push(ObjectName::new(&**namespace, name));
                }
            };
            match kind {
                Kind::Namespace => {
                    if ns.declared.is_some_and(|e| e != epoch) {
                        gone.push(ObjectName::new("", &**namespace));
                    }
                }
                Kind::Service => ns
                    .services
                    .iter()
                    .filter_map(|(name, s)| Some((name, s.spec.as_ref()?)))
                    .for_each(|(name, spec)| old(name, spec.epoch)),
                _ => ns
                    .services
                    .values()
                    .flat_map(|s| &s.slices)
                    .for_each(|slice| old(&slice.name, slice.epoch)),
            }
        }
        gone.iter().for_each(|name| self.delete(kind, name));
    }

    /// Changes a Service, which is made if need be and dropped if nothing is left of it, and keeps
    /// the reverse table true. Returns its name.
    fn change(
        &mut self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Service),
    ) -> Arc<str> {
        self.namespace_mut(namespace);
        let (ns_key, _) = self.namespaces.get_key_value(namespace).expect("made above");
        let ns_key = ns_key.clone();
        let ns = self.namespaces.get_mut(namespace).expect("made above");
        let key = match ns.services.get_key_value(name) {
            Some((key, _)) => key.clone(),
            None => Arc::from(name),
        };
        let service = ns.services.entry(key.clone()).or_default();
        let before = service.addresses();
        change(service);
        let after = service.addresses();
        if service.spec.is_none() && service.slices.is_empty() {
            ns.services.remove(name);
        }
        if before != after {
            self.unindex(&ns_key, &key, before);
            self.index(&ns_key, &key, after);
        }
        key
    }

    fn unindex(&mut self, ns: &str, service: &str, rows: Vec<(Addr, Option<Box<str>>)>) {
        for (addr, _) in rows {
            if let Some(holders) = self.reverse.get_mut(&addr) {
                holders.retain(|h| *h.namespace != *ns || *h.service != *service);
                if holders.is_empty() {
                    self.reverse.remove(&addr);
                }
            }
        }
    }

    fn index(&mut self, ns: &Arc<str>, service: &Arc<str>, rows: Vec<(Addr, Option<Box<str>>)>) {
        for (addr, hostname) in rows {
            let holder = Holder { namespace: ns.clone(), service: service.clone(), hostname };
            let holders = self.reverse.entry(addr).or_insert_with(|| Vec::with_capacity(1));
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
    }

    fn forget_empty(&mut self, namespace: &str) {
        let empty = |ns: &Namespace| {
            ns.declared.is_none() && ns.services.is_empty() && ns.slices.is_empty()
        };
        if self.namespaces.get(namespace).is_some_and(empty) {
            self.namespaces.remove(namespace);
        }
    }
}
