//! The controller's part of `config.yaml`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::core::ranges::Ranges;

/// All that the controller is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// This replica's name in the election, such as its pod's name.
    pub identity: String,
    /// The namespace of the Lease and of the manifest's objects.
    pub namespace: String,
    /// Section `ipam`.
    pub ipam: Ipam,
    /// Section `dns`.
    pub dns: Dns,
}

/// Section `ipam`: pod CIDRs of nodes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Ipam {
    /// `clusterCIDRs`: where nodes' ranges are taken from; empty: Kubernetes gives them
    /// (kube-controller-manager's `--allocate-node-cidrs`).
    #[serde(rename = "clusterCIDRs")]
    pub cluster_cidrs: Vec<IpNet>,
    /// `nodeMaskSizeIPv4`: the prefix length of a node's IPv4 range.
    #[serde(rename = "nodeMaskSizeIPv4")]
    pub node_mask_size_ipv4: u8,
    /// `nodeMaskSizeIPv6`: the prefix length of a node's IPv6 range.
    #[serde(rename = "nodeMaskSizeIPv6")]
    pub node_mask_size_ipv6: u8,
}

impl Default for Ipam {
    /// The sizes of kube-controller-manager.
    fn default() -> Self {
        Self { cluster_cidrs: Vec::new(), node_mask_size_ipv4: 24, node_mask_size_ipv6: 64 }
    }
}

/// Section `dns`: the `kube-dns` Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// `clusterIP`: its address, where it is not the tenth of the Service range. It must be the
    /// `clusterDNS` of the kubelets.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<IpAddr>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A node's range does not fit into the cluster's.
    #[error(
        "ipam.clusterCIDRs: {range} is smaller than one node's range (/{size}): \
         set nodeMaskSizeIPv4 or nodeMaskSizeIPv6 to more than {}", range.prefix_len()
    )]
    TooSmall {
        /// The cluster's range.
        range: IpNet,
        /// The prefix length for nodes.
        size: u8,
    },
    /// A prefix length that no address of the family has.
    #[error("ipam: a node's range of /{0} is no range of this family")]
    BadSize(u8),
    /// Two ranges have addresses in common.
    #[error("ipam.clusterCIDRs: {0} and {1} overlap: leave one of them out")]
    Overlap(IpNet, IpNet),
}

impl Ipam {
    /// The ranges, checked; `None` where Kubernetes gives nodes theirs.
    ///
    /// # Errors
    ///
    /// One sentence about the first range that cannot be used.
    pub fn ranges(&self) -> Result<Option<Ranges>, Error> {
        if self.cluster_cidrs.is_empty() {
            return Ok(None);
        }
        Ranges::new(&self.cluster_cidrs, self.node_mask_size_ipv4, self.node_mask_size_ipv6)
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_configuration_are_those_of_kubernetes() {
        let text = "{clusterCIDRs: [10.0.0.0/16, 'fd00::/48'], nodeMaskSizeIPv4: 25}";
        let ipam: Ipam = serde_yaml_ng::from_str(text).unwrap();
        assert_eq!((ipam.node_mask_size_ipv4, ipam.node_mask_size_ipv6), (25, 64));
        assert!(ipam.ranges().unwrap().is_some());
        assert_eq!(serde_yaml_ng::from_str::<Ipam>("{}").unwrap().ranges(), Ok(None));
        assert!(serde_yaml_ng::from_str::<Ipam>("{clusterCIDR: [10.0.0.0/16]}").is_err());
        let dns: Dns = serde_yaml_ng::from_str("{clusterIP: 10.96.0.53}").unwrap();
        assert_eq!(dns.cluster_ip, Some([10, 96, 0, 53].into()));
    }

    #[test]
    fn ranges_that_cannot_work_are_refused_with_a_sentence() {
        let ranges = |cidrs: &[&str], v4| {
            let cluster_cidrs = cidrs.iter().map(|c| c.parse().unwrap()).collect();
            Ipam { cluster_cidrs, node_mask_size_ipv4: v4, ..Ipam::default() }.ranges()
        };
        let small = ranges(&["10.0.0.0/25"], 24).unwrap_err();
        assert!(small.to_string().contains("10.0.0.0/25 is smaller"), "{small}");
        assert!(matches!(ranges(&["10.0.0.0/8", "10.5.0.0/16"], 24), Err(Error::Overlap(..))));
        assert_eq!(ranges(&["10.0.0.0/8"], 33), Err(Error::BadSize(33)));
    }
}
