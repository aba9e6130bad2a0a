//! Whose an address is, for people who read flows.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use fairlead_model::{Addr, Node, ObjectName};
use fairlead_observe::flow::Names;
use fairlead_services::FrontendSpec;
use ipnet::IpNet;

/// This node's pods, all nodes, and Services. Of other nodes' pods only the node is known.
#[derive(Debug, Default)]
pub struct NameTable {
    pods: HashMap<Addr, String>,
    /// A pod's link by its ifindex: the link's name and the pod's.
    links: HashMap<u32, (String, String)>,
    nodes: HashMap<Addr, String>,
    cidrs: Vec<(IpNet, String)>,
    frontends: HashMap<(Addr, u16, u8), String>,
    services: BTreeMap<ObjectName, Vec<(Addr, u16, u8)>>,
}

impl NameTable {
    pub(crate) fn set_pod(
        &mut self,
        ips: impl Iterator<Item = IpAddr>,
        pod: &ObjectName,
        ifindex: u32,
        link: &str,
    ) {
        for ip in ips {
            self.pods.insert(ip.into(), format!("pod {pod}"));
        }
        self.links.insert(ifindex, (link.to_owned(), format!("pod {pod}")));
    }

    pub(crate) fn remove_pod(&mut self, ips: impl Iterator<Item = IpAddr>, link: &str) {
        for ip in ips {
            self.pods.remove(&ip.into());
        }
        self.links.retain(|_, (name, _)| name != link);
    }

    pub(crate) fn set_nodes<'a>(&mut self, nodes: impl Iterator<Item = &'a Node>) {
        self.nodes.clear();
        self.cidrs.clear();
        for node in nodes {
            for ip in node.internal_ips.iter().chain(&node.external_ips) {
                self.nodes.insert((*ip).into(), format!("node {}", node.name));
            }
            let name = format!("a pod on node {}", node.name);
            self.cidrs.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, name.clone())));
        }
    }

    pub(crate) fn set_service(&mut self, service: &ObjectName, frontends: &[FrontendSpec]) {
        for key in self.services.remove(service).unwrap_or_default() {
            self.frontends.remove(&key);
        }
        let mut keys = Vec::new();
        for f in frontends {
            let key = (f.addr, f.port, f.protocol.number());
            let port =
                if f.port_name.is_empty() { f.port.to_string() } else { f.port_name.clone() };
            self.frontends.insert(key, format!("service {service}:{port}"));
            keys.push(key);
        }
        if !keys.is_empty() {
            self.services.insert(service.clone(), keys);
        }
    }

    /// Whose own address this is, among the nodes.
    pub(crate) fn node(&self, addr: &Addr) -> Option<&str> {
        self.nodes.get(addr).map(String::as_str)
    }

    /// Services with an address that is a node's.
    pub(crate) fn services_at_nodes(&self) -> impl Iterator<Item = ObjectName> {
        let at_node = |keys: &[(Addr, u16, u8)]| keys.iter().any(|k| self.nodes.contains_key(&k.0));
        self.services.iter().filter(move |(_, keys)| at_node(keys)).map(|(name, _)| name.clone())
    }

    /// Number of Services that have frontends.
    pub(crate) fn service_count(&self) -> usize {
        self.services.len()
    }

    /// The names of a pod's link and of the pod, by the link's ifindex.
    pub(crate) fn link(&self, ifindex: u32) -> Option<&(String, String)> {
        self.links.get(&ifindex)
    }
}

impl Names for NameTable {
    fn name(&self, ip: IpAddr, port: u16, protocol: u8) -> Option<String> {
        let addr = Addr::from(ip);
        self.pods
            .get(&addr)
            .or_else(|| self.nodes.get(&addr))
            .or_else(|| self.frontends.get(&(addr, port, protocol)))
            .or_else(|| {
                self.cidrs.iter().find(|(cidr, _)| cidr.contains(&ip)).map(|(_, name)| name)
            })
            .cloned()
    }
}
