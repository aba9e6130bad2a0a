//! config.yaml: the keys of all roles, each checked where it is used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fairlead_agent::config::{Masquerade, PortRange, Routing};
use serde::Deserialize;

use crate::log::LEVELS;

/// The file. Unknown keys are errors: a typing mistake must not pass for a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct File {
    pub routing: Routing,
    pub mtu: u32,
    pub masquerade: Masquerade,
    pub nat_ports: PortRange,
    pub devices: Vec<String>,
    pub vxlan_port: u16,
    pub cluster_domain: String,
    pub api_server: String,
    pub log: String,
    pub dns: fairlead_controller::Dns,
    pub ipam: fairlead_controller::Ipam,
    pub maps: BTreeMap<String, u32>,
    pub run_dir: PathBuf,
    pub bpffs: PathBuf,
    pub cgroup: Option<PathBuf>,
    pub cni_bin_dir: PathBuf,
    pub cni_conf_dir: PathBuf,
    pub cni_plugin: Option<PathBuf>,
    pub metrics_address: SocketAddr,
    pub resolv_conf: PathBuf,
}

impl Default for File {
    fn default() -> Self {
        File {
            routing: Routing::default(),
            mtu: 0,
            masquerade: Masquerade::default(),
            nat_ports: PortRange::default(),
            devices: Vec::new(),
            vxlan_port: 8472,
            cluster_domain: "cluster.local".into(),
            api_server: String::new(),
            log: "info".into(),
            dns: fairlead_controller::Dns::default(),
            ipam: fairlead_controller::Ipam::default(),
            maps: BTreeMap::new(),
            run_dir: "/run/fairlead".into(),
            bpffs: "/sys/fs/bpf".into(),
            cgroup: None,
            cni_bin_dir: "/opt/cni/bin".into(),
            cni_conf_dir: "/etc/cni/net.d".into(),
            cni_plugin: None,
            metrics_address: SocketAddr::from(([127, 0, 0, 1], 9965)),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }
}

/// Reads the file that was asked for, or the one where it is expected, or takes the defaults.
pub fn read(asked: Option<&Path>) -> anyhow::Result<File> {
    let path = asked.unwrap_or(Path::new(crate::CONFIG));
    let text = match std::fs::read_to_string(path) {
        Err(e) if asked.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(File::default());
        }
        text => text.with_context(|| {
            format!("the configuration {} cannot be read, check --config", path.display())
        })?,
    };
    parse(&text).with_context(|| format!("configuration {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<File> {
    // a file of comments only is a null
    let file =
        serde_yaml_ng::from_str::<Option<File>>(text).map_err(|e| anyhow::anyhow!(plain(&e)))?;
    let file = file.unwrap_or_default();
    file.check()?;
    Ok(file)
}

/// What the parser says, without its names for Rust's types.
fn plain(e: &serde_yaml_ng::Error) -> String {
    let words = [
        ("expected u32", "expected a number from 0 to 4294967295"),
        ("expected u16", "expected a number from 0 to 65535"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected keys and values"),
        ("expected struct File", "expected keys and values such as `routing: auto`"),
        ("expected struct Masquerade", "expected the keys `ipv4` and `ipv6`"),
        ("invalid socket address syntax", "not an address and a port such as 127.0.0.1:9965"),
    ];
    words.iter().fold(e.to_string(), |text, (from, to)| text.replace(from, to))
}

impl File {
    /// Values that have the right type and no meaning.
    fn check(&self) -> anyhow::Result<()> {
        if self.mtu != 0 && !(1280..=65535).contains(&self.mtu) {
            anyhow::bail!(
                "mtu: {} is none that pods can have: 0 computes it, or 1280 to 65535",
                self.mtu
            );
        }
        if !LEVELS.contains(&self.log.as_str()) {
            anyhow::bail!("log: '{}' is none of {}", self.log, LEVELS.join(", "));
        }
        if self.vxlan_port == 0 {
            anyhow::bail!("vxlanPort: 0 is no port: leave it out for 8472");
        }
        let paths = [
            ("runDir", Some(&self.run_dir)),
            ("bpffs", Some(&self.bpffs)),
            ("cgroup", self.cgroup.as_ref()),
            ("cniBinDir", Some(&self.cni_bin_dir)),
            ("cniConfDir", Some(&self.cni_conf_dir)),
            ("cniPlugin", self.cni_plugin.as_ref()),
            ("resolvConf", Some(&self.resolv_conf)),
        ];
        for (key, path) in paths {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                anyhow::bail!(
                    "{key}: '{}' is no path from the root, with a / first",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// The agent's part, as seen from its container.
    pub fn agent(&self, node_name: &str, host_root: &Path) -> fairlead_agent::Config {
        // hostPaths of the node are mounted below the root that we are told of
        let seen = |path: &Path| match path.strip_prefix("/") {
            Ok(relative) if host_root != Path::new("/") => host_root.join(relative),
            _ => path.to_owned(),
        };
        fairlead_agent::Config {
            node_name: node_name.to_owned(),
            routing: self.routing,
            mtu: self.mtu,
            masquerade: self.masquerade,
            nat_ports: self.nat_ports,
            devices: self.devices.clone(),
            vxlan_port: self.vxlan_port,
            cluster_domain: self.cluster_domain.clone(),
            maps: self.maps.clone(),
            run_dir: self.run_dir.clone(),
            bpffs: self.bpffs.clone(),
            cgroup: self.cgroup.clone(),
            cgroup_root: seen(Path::new("/sys/fs/cgroup")),
            cni_bin_dir: seen(&self.cni_bin_dir),
            cni_conf_dir: seen(&self.cni_conf_dir),
            cni_plugin: self.cni_plugin.clone().or_else(plugin_beside_us),
            metrics_address: self.metrics_address,
            resolv_conf: self.resolv_conf.clone(),
        }
    }
}

/// In the image both programs lie side by side.
fn plugin_beside_us() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name("fairlead-cni");
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_configuration_is_the_default() {
        let manifest = include_str!("../../../deploy/fairlead.yaml");
        let maps = serde_yaml_ng::Deserializer::from_str(manifest)
            .map(|d| serde_yaml_ng::Value::deserialize(d).unwrap())
            .find(|v| v["kind"] == "ConfigMap")
            .unwrap();
        let file = parse(maps["data"]["config.yaml"].as_str().unwrap()).unwrap();
        assert_eq!(format!("{file:?}"), format!("{:?}", File::default()));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let e = parse("routting: auto").unwrap_err();
        assert!(format!("{e:#}").contains("routting"), "{e:#}");
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("# nothing\n").unwrap().vxlan_port, 8472);
    }
}
