//! What a cluster is made of.

use std::fmt;
use std::net::IpAddr;

use fairlead_tests::Routing;

/// A cluster to be: its size, families and routing.
#[derive(Clone, Debug)]
pub struct Topology {
    pub nodes: u8,
    pub dual: bool,
    pub routing: Routing,
    /// Whether Kubernetes gives nodes their pod CIDRs; else Fairlead's controller has to.
    pub node_cidrs: bool,
    /// Left out unless all are asked for.
    pub extra: bool,
}

impl Topology {
    pub fn new(nodes: u8, dual: bool, routing: Routing) -> Self {
        Self { nodes, dual, routing, node_cidrs: true, extra: false }
    }

    pub fn only_when_all(self) -> Self {
        Self { extra: true, ..self }
    }

    pub fn without_cidrs(self) -> Self {
        Self { node_cidrs: false, ..self }
    }

    /// n1, n2, …
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|index| format!("n{index}")).collect()
    }

    /// The addresses of a node on the clusters' bridge.
    pub fn node_addresses(&self, node: &str) -> Vec<IpAddr> {
        let host: u16 = 10 + node[1..].parse::<u16>().expect("nodes are n1, n2, …");
        self.families(&format!("172.30.0.{host}"), &format!("fd30::{host}"))
    }

    /// The machine that all of this runs on, as nodes see it.
    pub fn machine_addresses(&self) -> Vec<IpAddr> {
        self.families("172.30.0.1", "fd30::1")
    }

    fn families(&self, v4: &str, v6: &str) -> Vec<IpAddr> {
        let both = [v4, v6].map(|a| a.parse().expect("an address"));
        both.into_iter().filter(|a: &IpAddr| a.is_ipv4() || self.dual).collect()
    }

    pub fn service_cidrs(&self) -> &str {
        if self.dual { "10.96.0.0/16,fd00:96::/112" } else { "10.96.0.0/16" }
    }

    pub fn pod_cidrs(&self) -> &str {
        if self.dual { "10.244.0.0/16,fd00:244::/56" } else { "10.244.0.0/16" }
    }

    /// How `fairlead status` calls the way to every other node: they are on one link.
    pub fn way(&self) -> &'static str {
        if self.routing == Routing::Vxlan { "vxlan" } else { "direct" }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families = if self.dual { "dual-stack" } else { "IPv4" };
        write!(f, "{} nodes, {families}, routing {}", self.nodes, self.routing.as_str())?;
        if self.node_cidrs { Ok(()) } else { f.write_str(", no CIDRs by Kubernetes") }
    }
}
