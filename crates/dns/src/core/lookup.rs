//! What there is at a name of the cluster's zone.

use domain::base::iana::Rtype;
use fairlead_model::{Addr, Protocol};

use super::answer::{Data, DnsName};
use super::names;
use super::objects::{Endpoint, Port, Service, ServiceKind, Slice, Spec};
use super::zone::Zone;

/// The specification that is spoken, as `dns-version` says it.
const SCHEMA_VERSION: &str = "1.1.0";

/// What there is at a name.
pub(super) enum Found {
    /// Nothing, neither here nor below.
    Missing,
    /// Records of the type, or none of it.
    Node(Vec<Data>),
    /// An alias.
    Alias(DnsName),
}

impl Zone {
    pub(super) fn find(&self, name: &DnsName, rtype: Rtype) -> Found {
        let Some(labels) = names::labels(name.for_slice()) else { return Found::Missing };
        match self.lookup(&labels[..labels.len() - self.origin_labels], rtype) {
            Found::Node(_) if rtype == Rtype::ANY => Found::Node(vec![Data::Hinfo]),
            found => found,
        }
    }

    /// `labels` are relative to the zone's origin.
    fn lookup(&self, labels: &[&str], rtype: Rtype) -> Found {
        match labels {
            [] => Found::Node(self.apex(rtype)),
            ["dns-version"] => typed(rtype, [Data::Txt(SCHEMA_VERSION)]),
            ["svc" | "pod"] => Found::Node(Vec::new()),
            // No object has this name, and clients that probe for wildcards learn that there is none.
            ["*", parent @ ..] => match self.lookup(parent, rtype) {
                Found::Node(_) => Found::Node(Vec::new()),
                Found::Missing | Found::Alias(_) => Found::Missing,
            },
            [ns, "svc" | "pod"] if self.store.namespace(ns) => Found::Node(Vec::new()),
            [pod, ns, "pod"] if self.store.namespace(ns) => match names::pod_address(pod) {
                Some(addr) => typed(rtype, [Data::from(addr)]),
                None => Found::Missing,
            },
            [rest @ .., service, ns, "svc"] => match self.store.service(ns, service) {
                Some((s, spec)) => self.service(s, spec, rest, &[service, ns, "svc"], rtype),
                None => Found::Missing,
            },
            _ => Found::Missing,
        }
    }

    pub(super) fn apex(&self, rtype: Rtype) -> Vec<Data> {
        match rtype {
            Rtype::SOA => vec![self.soa()],
            Rtype::NS => vec![Data::Ns(self.server.clone())],
            _ => Vec::new(),
        }
    }

    /// `rest` is what stands before the Service's own name, `base`.
    fn service(
        &self,
        service: &Service,
        spec: &Spec,
        rest: &[&str],
        base: &[&str],
        rtype: Rtype,
    ) -> Found {
        if let ServiceKind::External(target) = &spec.kind {
            return match target {
                Some(target) if rest.is_empty() => Found::Alias(target.clone()),
                _ => Found::Missing,
            };
        }
        match rest {
            [] => match &spec.kind {
                ServiceKind::Cluster(addrs) => typed(rtype, addrs.iter().map(|a| Data::from(*a))),
                // Without ready endpoints the name does not exist (specification, 2.4.1).
                _ => present(rtype, service.ready().map(|(_, e)| Data::from(e.addr))),
            },
            [protocol] if protocol.starts_with('_') => {
                let wanted = names::protocol(protocol);
                match ports(service, spec).any(|(p, _)| Some(p.protocol) == wanted) {
                    true => Found::Node(Vec::new()),
                    false => Found::Missing,
                }
            }
            [host] => {
                let addr = names::undashed(host);
                let named = |e: &Endpoint| match &e.hostname {
                    Some(hostname) => hostname.eq_ignore_ascii_case(host),
                    None => Some(e.addr) == addr,
                };
                let found = service.ready().filter(|(_, e)| named(e));
                present(rtype, found.map(|(_, e)| Data::from(e.addr)))
            }
            [port, protocol] => match (port.strip_prefix('_'), names::protocol(protocol)) {
                (Some(port), Some(protocol)) => {
                    present(rtype, self.srv(service, spec, port, protocol, base))
                }
                _ => Found::Missing,
            },
            _ => Found::Missing,
        }
    }

    fn srv(
        &self,
        service: &Service,
        spec: &Spec,
        name: &str,
        protocol: Protocol,
        base: &[&str],
    ) -> impl Iterator<Item = Data> {
        let mut hosts: Vec<(u16, DnsName)> = ports(service, spec)
            .filter(|(p, _)| p.protocol == protocol && p.name.eq_ignore_ascii_case(name))
            .filter_map(|(p, endpoint)| {
                let host = endpoint.map(names::endpoint);
                let labels: Vec<&str> =
                    host.as_deref().into_iter().chain(base.iter().copied()).collect();
                Some((p.number, names::below(&labels, &self.origin)?))
            })
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let weight = u16::try_from(100 / hosts.len().max(1)).unwrap_or(100).max(1);
        hosts.into_iter().map(move |(port, target)| Data::Srv { weight, port, target })
    }
}

/// The named ports: a Service's own, or those of a headless one's ready endpoints.
fn ports<'a>(
    service: &'a Service,
    spec: &'a Spec,
) -> impl Iterator<Item = (&'a Port, Option<&'a Endpoint>)> {
    let headless = matches!(spec.kind, ServiceKind::Headless);
    let of_slice =
        |(slice, e): (&'a Slice, &'a Endpoint)| slice.ports.iter().map(move |p| (p, Some(e)));
    let endpoints = service.ready().filter(move |_| headless).flat_map(of_slice);
    spec.ports.iter().map(|p| (p, None)).chain(endpoints)
}

/// A node with these records, of which those of the type are wanted.
fn typed(rtype: Rtype, data: impl IntoIterator<Item = Data>) -> Found {
    Found::Node(data.into_iter().filter(|d| d.rtype() == rtype).collect())
}

/// As [`typed`], but without any record there is no node. Each record is given once.
fn present(rtype: Rtype, data: impl Iterator<Item = Data>) -> Found {
    let mut data = data.peekable();
    if data.peek().is_none() {
        return Found::Missing;
    }
    let mut seen = std::collections::HashSet::new();
    let once = |d: &Data| match d {
        Data::A(ip) => seen.insert(Addr::from(*ip)),
        Data::Aaaa(ip) => seen.insert(Addr::from(*ip)),
        _ => true,
    };
    Found::Node(data.filter(|d| d.rtype() == rtype).filter(once).collect())
}
