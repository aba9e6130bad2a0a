//! What is kept of each object: the fields that the tables are made of, and no more, since a node
//! keeps them for the whole cluster.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use fairlead_model::{Addr, Endpoint, EndpointPort, EndpointSlice, Service, ServicePort};

/// A Service that has cluster addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Without duplicates, in the Service's order.
    pub cluster_ips: Box<[Addr]>,
    pub ports: Box<[ServicePort]>,
}

impl Spec {
    pub fn new(service: &Service) -> Self {
        let mut cluster_ips: Vec<Addr> = Vec::with_capacity(service.cluster_ips.len());
        for addr in service.cluster_ips.iter().copied().map(Addr::from) {
            if !cluster_ips.contains(&addr) {
                cluster_ips.push(addr);
            }
        }
        Spec { cluster_ips: cluster_ips.into(), ports: service.ports.clone().into() }
    }
}

/// An EndpointSlice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub ports: Box<[EndpointPort]>,
    pub targets: Box<[Target]>,
}

/// An endpoint that may get connections; others are not kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub addr: Addr,
    /// `false`: it terminates but still serves, for when nothing else does (KEP-1669).
    pub ready: bool,
    pub node: Option<Arc<str>>,
}

impl Slice {
    pub fn new(slice: &EndpointSlice, nodes: &mut NodeNames) -> Self {
        Slice {
            ports: slice.ports.clone().into(),
            targets: slice.endpoints.iter().filter_map(|e| target(e, nodes)).collect(),
        }
    }
}

/// `ready` is all that counts for publishNotReadyAddresses too: the controller sets it to true for
/// every endpoint of such a Service, terminating ones included (EndpointConditions, API reference).
fn target(endpoint: &Endpoint, nodes: &mut NodeNames) -> Option<Target> {
    let drains = endpoint.serving && endpoint.terminating;
    if !endpoint.ready && !drains {
        return None;
    }
    // All addresses of an endpoint are fungible and clients may use the first (API reference).
    let ip = endpoint.addresses.first()?.to_canonical();
    may_be_endpoint(ip).then(|| Target {
        addr: ip.into(),
        ready: endpoint.ready,
        node: endpoint.node_name.as_deref().map(|n| nodes.get(n)),
    })
}

/// Whether the API allows the address for an endpoint. It is asked again here, since a slice that
/// got past validation would open the node's own loopback or link to pods (as CVE-2021-25737 did).
fn may_be_endpoint(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
}

/// Names of nodes, each held once.
#[derive(Debug, Default)]
pub(crate) struct NodeNames(HashSet<Arc<str>>);

impl NodeNames {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(held) = self.0.get(name) {
            return held.clone();
        }
        let held: Arc<str> = name.into();
        self.0.insert(held.clone());
        held
    }

    /// Forgets the names that no endpoint uses.
    pub fn prune(&mut self) {
        self.0.retain(|name| Arc::strong_count(name) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_the_nodes_own_or_nobodys_is_no_endpoint() {
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!may_be_endpoint(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1", "192.0.2.1", "fd00::1", "2001:db8::1"] {
            assert!(may_be_endpoint(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn a_hundred_thousand_endpoints_take_four_megabytes() {
        assert!(size_of::<Target>() <= 40);
    }

    #[test]
    fn node_names_are_held_once_and_dropped_when_unused() {
        let mut names = NodeNames::default();
        let a = names.get("n1");
        assert!(Arc::ptr_eq(&a, &names.get("n1")));
        names.get("n2");
        names.prune();
        assert_eq!(names.0.len(), 1);
        drop(a);
        names.prune();
        assert!(names.0.is_empty());
    }
}
