//! Sysctls: read and written below /proc/sys, in the calling thread's network namespace.

use std::fs;
use std::path::Path;

use netlink_packet_route::route::RouteProtocol;

use crate::device::links;
use crate::view::routes;
use crate::wire::Socket;
use crate::{Error, Handle, Result};

impl Handle {
    /// Sets a sysctl, for example ("net/ipv4/ip_forward", "1"). Says whether it was different.
    ///
    /// # Errors
    /// Names the sysctl, the value and why it could not be set.
    pub async fn set_sysctl(&self, name: &str, value: &str) -> Result<bool> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.run(move || set(&name, &value)).await
    }

    /// Reads a sysctl.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn sysctl(&self, name: &str) -> Result<String> {
        let name = name.to_owned();
        self.run(move || get(&name)).await
    }

    /// Lets the node forward packets, of both families where it has both. Returns what was changed.
    ///
    /// # Errors
    /// Names the sysctl that could not be set.
    pub async fn prepare_host(&self) -> Result<Vec<String>> {
        self.run(prepare_host).await
    }
}

fn prepare_host() -> Result<Vec<String>> {
    let mut wanted = vec![("net/ipv4/ip_forward".to_owned(), "1")];
    if ipv6_available() {
        // A router ignores router advertisements unless accept_ra is 2 (ip-sysctl.rst): a node
        // that has its default route from one would lose it. First this, then forwarding.
        for device in devices_of_advertised_routes()? {
            let name = format!("net/ipv6/conf/{device}/accept_ra");
            if get(&name)? == "1" {
                wanted.push((name, "2"));
            }
        }
        wanted.push(("net/ipv6/conf/all/forwarding".to_owned(), "1"));
    }
    let mut changed = Vec::new();
    for (name, value) in wanted {
        if set(&name, value)? {
            changed.push(format!("{name} = {value}"));
        }
    }
    Ok(changed)
}

fn devices_of_advertised_routes() -> Result<Vec<String>> {
    let mut socket = Socket::open()?;
    let advertised: Vec<u32> = routes(&mut socket)?
        .into_iter()
        .filter(|route| route.destination.prefix_len() == 0)
        .filter(|route| route.protocol == u8::from(RouteProtocol::Ra))
        .flat_map(|route| route.devices)
        .collect();
    let links = links(&mut socket)?;
    let with = links.into_iter().filter(|link| advertised.contains(&link.ifindex));
    Ok(with.map(|link| link.name).collect())
}

/// Whether the kernel runs IPv6 at all (`ipv6.disable=1` at boot turns it off).
pub(crate) fn ipv6_available() -> bool {
    Path::new("/proc/sys/net/ipv6/conf").exists()
}

/// Sets a link's own sysctls of both families.
pub(crate) fn set_link_sysctls(link: &str, v4: &[(&str, &str)], v6: &[(&str, &str)]) -> Result<()> {
    for (name, value) in v4 {
        set(&format!("net/ipv4/conf/{link}/{name}"), value)?;
    }
    if !v6.is_empty() && ipv6_available() {
        for (name, value) in v6 {
            set(&format!("net/ipv6/conf/{link}/{name}"), value)?;
        }
    }
    Ok(())
}

/// Writes only what differs: some writes make the kernel reset other settings.
fn set(name: &str, value: &str) -> Result<bool> {
    if get(name)? == value {
        return Ok(false);
    }
    fs::write(format!("/proc/sys/{name}"), value).map_err(|source| Error::Sysctl {
        action: format!("set to '{value}'"),
        name: name.into(),
        source,
    })?;
    Ok(true)
}

fn get(name: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).map_err(|source| Error::Sysctl {
        action: "read".into(),
        name: name.into(),
        source,
    })?;
    Ok(text.trim_end().to_owned())
}
