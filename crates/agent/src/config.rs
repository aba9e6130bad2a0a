//! What an agent is told: parsed once, valid from then on.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use fairlead_datapath::Sizes;

/// How other nodes' pods are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Directly where the node is on a network of ours, else by VXLAN: decided for each pair.
    #[default]
    Auto,
    /// Never by VXLAN: what is not on a network of ours is the underlying network's to route.
    Direct,
    /// Always by VXLAN.
    Vxlan,
}

impl Routing {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Routing::Auto => "auto",
            Routing::Direct => "direct",
            Routing::Vxlan => "vxlan",
        }
    }
}

/// Which families leave the cluster with the node's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Masquerade {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Default for Masquerade {
    fn default() -> Self {
        Masquerade { ipv4: true, ipv6: true }
    }
}

/// Source ports that masquerade uses: a range that the node itself does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    /// First.
    pub min: u16,
    /// Last.
    pub max: u16,
}

impl Default for PortRange {
    /// Above the kernel's ephemeral ports (ip_local_port_range is 32768–60999 by default).
    fn default() -> Self {
        PortRange { min: 61000, max: 65535 }
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = |part: &str| part.trim().parse::<u16>().ok();
        match text.split_once('-').and_then(|(a, b)| Some((parse(a)?, parse(b)?))) {
            Some((min, max)) if min > 0 && min <= max => Ok(PortRange { min, max }),
            _ => Err(format!("natPorts: '{text}' is no range of ports such as 61000-65535")),
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name in the API.
    pub node_name: String,
    /// `routing`
    pub routing: Routing,
    /// `mtu`: of pods, in bytes; 0 computes it.
    pub mtu: u32,
    /// `masquerade`
    pub masquerade: Masquerade,
    /// `natPorts`
    pub nat_ports: PortRange,
    /// `devices`: the node's devices that carry traffic; empty finds them.
    pub devices: Vec<String>,
    /// `vxlanPort`: UDP port of the tunnel.
    pub vxlan_port: u16,
    /// `clusterDomain`
    pub cluster_domain: String,
    /// `maps`: entries of maps by name.
    pub maps: Sizes,
    /// `runDir`: sockets and records; a reboot must empty it.
    pub run_dir: PathBuf,
    /// `bpffs`: mount point of the BPF file system.
    pub bpffs: PathBuf,
    /// `cgroup`: the node's cgroup v2 directory; `None` finds it under `cgroupRoot`.
    pub cgroup: Option<PathBuf>,
    /// Where the node's /sys/fs/cgroup is seen.
    pub cgroup_root: PathBuf,
    /// `cniBinDir`, as the agent sees it.
    pub cni_bin_dir: PathBuf,
    /// `cniConfDir`, as the agent sees it.
    pub cni_conf_dir: PathBuf,
    /// `cniPlugin`: the plugin to install; `None` where somebody else installs it.
    pub cni_plugin: Option<PathBuf>,
    /// `metricsAddress`: where /metrics, /healthz and /readyz are served.
    pub metrics_address: SocketAddr,
    /// `resolvConf`: the node's resolvers.
    pub resolv_conf: PathBuf,
}

impl Config {
    /// The socket of `fairlead status` and `fairlead observe`.
    pub fn agent_socket(&self) -> PathBuf {
        self.run_dir.join("agent.sock")
    }

    /// The plugin's socket.
    pub fn cni_socket(&self) -> PathBuf {
        self.run_dir.join("cni.sock")
    }

    /// DELs that came while no agent ran.
    pub fn spool(&self) -> PathBuf {
        self.run_dir.join("deleted")
    }

    /// A file for each pod.
    pub fn records(&self) -> PathBuf {
        self.run_dir.join("pods")
    }

    /// The DNS Service's addresses as they were last known.
    pub fn dns_addresses(&self) -> PathBuf {
        self.run_dir.join("dns.json")
    }

    /// The node's pod CIDRs as they were last known.
    pub fn cidrs(&self) -> PathBuf {
        self.run_dir.join("cidrs.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_has_two_ends_in_order() {
        let parse = |text: &str| PortRange::try_from(text.to_owned());
        assert_eq!(parse("61000-65535"), Ok(PortRange::default()));
        for bad in ["", "61000", "65535-61000", "0-10", "1-70000", "a-b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
