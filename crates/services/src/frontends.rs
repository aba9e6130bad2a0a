//! A Service and its slices to frontends with backends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fairlead_model::{Addr, Protocol, ServicePort};

use crate::Problem;
use crate::compact::{Slice, Spec, Target};

/// The most backends that a frontend can have: the datapath counts them in 16 bits.
pub const MAX_BACKENDS: usize = u16::MAX as usize;

/// An address and port that stands for a Service's port, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendSpec {
    /// A cluster IP.
    pub addr: Addr,
    /// The Service's port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its name; empty when unnamed.
    pub port_name: String,
    /// Sorted, without duplicates; of the address's family. Empty: connects are refused.
    pub backends: Vec<BackendAddr>,
}

/// Where a connection to a frontend may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendAddr {
    /// The endpoint's address.
    pub addr: Addr,
    /// The endpoint's port.
    pub port: u16,
    /// The endpoint's node, where its slice says so.
    pub node_name: Option<Arc<str>>,
}

/// The frontends of `spec` at those of its addresses that are in `addrs`, and what is wrong with them.
pub(crate) fn frontends<'a>(
    spec: &Spec,
    addrs: &[Addr],
    slices: impl Iterator<Item = &'a Slice> + Clone,
) -> (Vec<FrontendSpec>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut rows = Vec::with_capacity(addrs.len() * spec.ports.len());
    let ports = distinct_ports(&spec.ports, &mut problems);
    for &addr in addrs {
        for &port in &ports {
            let mut backends = backends(addr.is_ipv4(), port, slices.clone());
            limit(port, &mut backends, &mut problems);
            rows.push(FrontendSpec {
                addr,
                port: port.port,
                protocol: port.protocol,
                port_name: port.name.clone(),
                backends,
            });
        }
    }
    (rows, problems)
}

/// The API refuses two ports of one number and protocol; of objects that have them the first counts.
fn distinct_ports<'a>(
    ports: &'a [ServicePort],
    problems: &mut Vec<Problem>,
) -> Vec<&'a ServicePort> {
    let mut seen = BTreeSet::new();
    ports
        .iter()
        .filter(|p| {
            let first = seen.insert((p.port, p.protocol));
            if !first {
                problems.push(Problem::DuplicatePort { port_name: p.name.clone() });
            }
            first
        })
        .collect()
}

/// The ready endpoints of the port; where there is none, those that serve while they terminate
/// (KEP-1669). An endpoint in two slices, which happens while it moves, is ready if either says so.
fn backends<'a>(
    ipv4: bool,
    port: &ServicePort,
    slices: impl Iterator<Item = &'a Slice>,
) -> Vec<BackendAddr> {
    let mut ready = BTreeMap::new();
    let mut terminating = BTreeMap::new();
    for slice in slices {
        let numbers =
            slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
        for number in numbers.map(|p| p.port) {
            for target in slice.targets.iter().filter(|t| t.addr.is_ipv4() == ipv4) {
                add(if target.ready { &mut ready } else { &mut terminating }, target, number);
            }
        }
    }
    let chosen = if ready.is_empty() { terminating } else { ready };
    chosen
        .into_iter()
        .map(|((addr, port), node_name)| BackendAddr { addr, port, node_name })
        .collect()
}

type Found = BTreeMap<(Addr, u16), Option<Arc<str>>>;

/// Of two nodes for one endpoint the first by name stays, so that the order of slices is nothing.
fn add(found: &mut Found, target: &Target, port: u16) {
    let node = found.entry((target.addr, port)).or_default();
    if node.is_none() || target.node.as_ref().is_some_and(|n| Some(n) < node.as_ref()) {
        node.clone_from(&target.node);
    }
}

/// Leaves out what the datapath cannot serve, and says so.
fn limit(port: &ServicePort, backends: &mut Vec<BackendAddr>, problems: &mut Vec<Problem>) {
    if port.protocol == Protocol::Sctp {
        if let Some(other) = backends.iter().find(|b| b.port != port.port) {
            note(problems, Problem::SctpPort { port: port.port, target: other.port });
        }
        backends.retain(|b| b.port == port.port);
    }
    if backends.len() > MAX_BACKENDS {
        note(problems, Problem::TooManyBackends { port: port.port, count: backends.len() });
        backends.truncate(MAX_BACKENDS);
    }
}

/// Both families of a Service have the same fault: one sentence is enough.
fn note(problems: &mut Vec<Problem>, problem: Problem) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}
