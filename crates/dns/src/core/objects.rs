//! Objects as the zone keeps them: what a name's records need and nothing else.

use fairlead_model::{self as model, Addr, Protocol};

use super::answer::DnsName;
use super::names;

/// A Service and its slices; either may arrive first.
#[derive(Default)]
pub(super) struct Service {
    pub(super) spec: Option<Spec>,
    pub(super) slices: Vec<Slice>,
}

/// What a Service's object says.
pub(super) struct Spec {
    pub(super) epoch: u32,
    pub(super) kind: ServiceKind,
    pub(super) ports: Box<[Port]>,
    publish_not_ready: bool,
}

/// What answers for a Service's name.
pub(super) enum ServiceKind {
    /// Cluster addresses.
    Cluster(Box<[Addr]>),
    /// Its endpoints.
    Headless,
    /// Another name; none if `externalName` is not one.
    External(Option<DnsName>),
}

/// A port of a Service or of a slice.
pub(super) struct Port {
    pub(super) name: Box<str>,
    pub(super) protocol: Protocol,
    pub(super) number: u16,
}

/// An EndpointSlice.
pub(super) struct Slice {
    pub(super) epoch: u32,
    pub(super) name: Box<str>,
    pub(super) ports: Box<[Port]>,
    endpoints: Box<[Endpoint]>,
}

/// An address of an endpoint.
pub(super) struct Endpoint {
    pub(super) addr: Addr,
    ready: bool,
    pub(super) hostname: Option<Box<str>>,
}

impl Service {
    /// The endpoints that have names, with their slices.
    pub(super) fn ready(&self) -> impl Iterator<Item = (&Slice, &Endpoint)> {
        let all = self.spec.as_ref().is_some_and(|s| s.publish_not_ready);
        self.slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().map(move |e| (slice, e)))
            .filter(move |(_, e)| e.ready || all)
    }

    /// The addresses whose reverse names lead here, with endpoints' host names.
    pub(super) fn addresses(&self) -> Vec<(Addr, Option<Box<str>>)> {
        match self.spec.as_ref().map(|s| &s.kind) {
            Some(ServiceKind::Cluster(addrs)) => addrs.iter().map(|a| (*a, None)).collect(),
            Some(ServiceKind::Headless) => self
                .ready()
                .filter_map(|(_, e)| Some((e.addr, Some(e.hostname.clone()?))))
                .collect(),
            Some(ServiceKind::External(_)) | None => Vec::new(),
        }
    }
}

/// A Service as of a list.
pub(super) fn spec(object: &model::Service, epoch: u32) -> Spec {
    let kind = match &object.service_type {
        model::ServiceType::ExternalName(name) => ServiceKind::External(names::parse(name)),
        _ if object.headless => ServiceKind::Headless,
        _ => ServiceKind::Cluster(object.cluster_ips.iter().map(|ip| Addr::from(*ip)).collect()),
    };
    // A headless Service's ports are its slices'.
    let ports = object.ports.iter().filter(|_| matches!(kind, ServiceKind::Cluster(_)));
    Spec {
        epoch,
        ports: ports.filter_map(|p| port(&p.name, p.protocol, p.port)).collect(),
        kind,
        publish_not_ready: object.publish_not_ready_addresses,
    }
}

/// A slice as of a list.
pub(super) fn slice(object: &model::EndpointSlice, epoch: u32) -> Slice {
    let endpoint = |e: &model::Endpoint, ip| Endpoint {
        addr: Addr::from(ip),
        ready: e.ready,
        hostname: e.hostname.as_deref().filter(|h| !h.is_empty()).map(Box::from),
    };
    Slice {
        epoch,
        name: object.name.name.as_str().into(),
        ports: object.ports.iter().filter_map(|p| port(&p.name, p.protocol, p.port)).collect(),
        endpoints: object
            .endpoints
            .iter()
            .flat_map(|e| e.addresses.iter().map(move |ip| endpoint(e, *ip)))
            .collect(),
    }
}

/// Only named ports have records.
fn port(name: &str, protocol: Protocol, number: u16) -> Option<Port> {
    (!name.is_empty()).then(|| Port { name: name.into(), protocol, number })
}
