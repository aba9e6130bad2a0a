//! The `kube-dns` Service: what it is, and at which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fairlead_api::objects::NewService;
use fairlead_model::{ObjectName, Protocol, ServicePort};
use ipnet::IpNet;

/// The namespace and name under which clients and policies know it.
pub fn name() -> ObjectName {
    ObjectName::new("kube-system", "kube-dns")
}

/// The label by which `fairlead uninstall` knows what it may delete.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "fairlead");

/// Where its addresses come from, best first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `dns.clusterIP` of the configuration.
    pub configured: Option<IpAddr>,
    /// The cluster's Service ranges, where the API serves them.
    pub ranges: Vec<IpNet>,
    /// The cluster addresses of Service `default/kubernetes`, the first of their ranges.
    pub kubernetes: Vec<IpAddr>,
}

/// Its addresses: the tenth of each range, as kubeadm and the kubelets' usual `clusterDNS` have it.
/// With a configured address the server chooses one of the other family, if there is one.
pub fn addresses(sources: &Sources) -> Vec<IpAddr> {
    if let Some(one) = sources.configured {
        return vec![one];
    }
    let ranges: Vec<IpAddr> = sources.ranges.iter().filter_map(|range| tenth(*range)).collect();
    if !ranges.is_empty() {
        return ranges;
    }
    sources.kubernetes.iter().filter_map(|first| add(*first, 9)).collect()
}

fn tenth(range: IpNet) -> Option<IpAddr> {
    add(range.network(), 10).filter(|address| range.contains(address))
}

fn add(address: IpAddr, n: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => u32::from(a).checked_add(n.into()).map(|a| Ipv4Addr::from(a).into()),
        IpAddr::V6(a) => u128::from(a).checked_add(n.into()).map(|a| Ipv6Addr::from(a).into()),
    }
}

/// The Service at these addresses. It has no selector: every node answers for itself.
pub fn service(addresses: Vec<IpAddr>) -> NewService {
    let port = |name: &str, protocol| ServicePort { name: name.into(), protocol, port: 53 };
    let labels = [
        // Policies and tools look for this one.
        ("k8s-app", "kube-dns"),
        // `kubectl cluster-info` lists what has this one.
        ("kubernetes.io/cluster-service", "true"),
        MANAGED_BY,
    ];
    NewService {
        name: name(),
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        cluster_ips: addresses,
        ports: vec![port("dns", Protocol::Udp), port("dns-tcp", Protocol::Tcp)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(configured: &str, ranges: &[&str], kubernetes: &[&str]) -> Vec<String> {
        let sources = Sources {
            configured: configured.parse().ok(),
            ranges: ranges.iter().map(|r| r.parse().unwrap()).collect(),
            kubernetes: kubernetes.iter().map(|k| k.parse().unwrap()).collect(),
        };
        addresses(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_address_is_the_tenth_of_the_service_range() {
        let ranges = ["10.96.0.0/16", "fd00:96::/112"];
        assert_eq!(sources("", &ranges, &["10.96.0.1"]), ["10.96.0.10", "fd00:96::a"]);
    }

    #[test]
    fn without_ranges_it_is_counted_from_the_kubernetes_service() {
        assert_eq!(sources("", &[], &["10.43.0.1"]), ["10.43.0.10"]);
        assert_eq!(sources("", &[], &["fd00:96::1"]), ["fd00:96::a"]);
        assert!(sources("", &[], &[]).is_empty());
    }

    #[test]
    fn a_configured_address_comes_before_all() {
        assert_eq!(sources("10.96.0.53", &["10.96.0.0/16"], &["10.96.0.1"]), ["10.96.0.53"]);
    }

    #[test]
    fn a_range_too_small_for_a_tenth_address_gives_none() {
        assert!(sources("", &["10.96.0.0/29"], &[]).is_empty());
    }
}
