//! Which CIDRs pods can have addresses of.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::Error;

/// Refuses what would give pods no address, or one that does not work.
pub(super) fn check(cidrs: &[IpNet]) -> Result<(), Error> {
    for (i, cidr) in cidrs.iter().enumerate() {
        let earlier = &cidrs[..i];
        let overlapping = earlier.iter().find(|e| e.contains(cidr) || cidr.contains(*e));
        let why = wrong(cidr)
            .or_else(|| overlapping.map(|e| format!("it overlaps {e}, which the node has too")));
        if let Some(why) = why {
            return Err(Error::Cidr { cidr: cidr.to_string(), why });
        }
    }
    Ok(())
}

fn wrong(cidr: &IpNet) -> Option<String> {
    if cidr.trunc() != *cidr {
        return Some(format!("it has bits set behind its prefix; {} has not", cidr.trunc()));
    }
    let (longest, shortest) = match cidr {
        IpNet::V4(_) => (30, 8),
        IpNet::V6(_) => (126, 16),
    };
    if cidr.prefix_len() > longest {
        return Some(format!(
            "it has no room for pods beside the network's and the node's own address; the prefix \
             can be /{longest} at the longest"
        ));
    }
    if cidr.prefix_len() < shortest {
        return Some(format!("a node's prefix can be /{shortest} at the shortest"));
    }
    let kind = match cidr.network() {
        IpAddr::V4(ip) if ip.octets()[0] == 0 => "\"this network\" (RFC 1122)",
        IpAddr::V4(ip) if ip.is_loopback() => "the loopback network",
        IpAddr::V4(ip) if ip.is_link_local() => "link-local",
        IpAddr::V4(ip) if ip.octets()[0] >= 224 => "multicast or reserved",
        IpAddr::V6(ip) if ip.octets()[..8] == [0; 8] => "reserved (RFC 4291)",
        IpAddr::V6(ip) if ip.is_unicast_link_local() => "link-local",
        IpAddr::V6(ip) if ip.is_multicast() => "multicast",
        _ => return None,
    };
    Some(format!("its addresses are {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(cidrs: &[&str]) -> String {
        let cidrs: Vec<IpNet> = cidrs.iter().map(|c| c.parse().unwrap()).collect();
        check(&cidrs).unwrap_err().to_string()
    }

    #[test]
    fn what_no_pod_could_use_is_refused_with_a_sentence() {
        assert!(sentence(&["10.0.0.0/31"]).contains("/30 at the longest"));
        assert!(sentence(&["fd00::/127"]).contains("/126 at the longest"));
        assert!(sentence(&["10.0.0.5/24"]).contains("10.0.0.0/24 has not"));
        assert!(sentence(&["10.0.0.0/7", "10.0.0.0/24"]).contains("10.0.0.0/7"));
        assert!(sentence(&["127.0.0.0/24"]).contains("loopback"));
        assert!(sentence(&["169.254.0.0/16"]).contains("link-local"));
        assert!(sentence(&["224.0.0.0/24"]).contains("multicast"));
        assert!(sentence(&["0.0.0.0/8"]).contains("this network"));
        assert!(sentence(&["fe80::/64"]).contains("link-local"));
        assert!(sentence(&["::ffff:10.0.0.0/120"]).contains("reserved"));
        assert!(
            sentence(&["10.0.0.0/16", "fd00::/64", "10.0.3.0/24"]).contains("overlaps 10.0.0.0/16")
        );
        assert!(sentence(&["10.0.3.0/24", "10.0.0.0/16"]).contains("overlaps 10.0.3.0/24"));
    }

    #[test]
    fn what_kubernetes_gives_a_node_is_accepted() {
        let cidrs =
            ["10.244.1.0/24", "fd00:10:244:1::/64", "100.64.0.0/10", "10.0.0.0/30", "fd01::/126"];
        assert!(check(&cidrs.map(|c| c.parse().unwrap())).is_ok());
    }
}
