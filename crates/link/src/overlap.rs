//! Pod CIDRs that the host uses for something else.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::device::links;
use crate::view::{addresses, routes};
use crate::wire::Socket;
use crate::{Handle, Result};

impl Handle {
    /// Routes and addresses of the host that are inside a pod CIDR (or equal to it) and not ours,
    /// in words for status: pods with such addresses could not be reached from this node. What
    /// merely contains a pod CIDR, as the default route does, is no overlap.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn overlaps(&self, cidrs: &[IpNet]) -> Result<Vec<String>> {
        let cidrs = cidrs.to_vec();
        self.run(move || overlaps(&cidrs)).await
    }
}

fn overlaps(cidrs: &[IpNet]) -> Result<Vec<String>> {
    let mut socket = Socket::open()?;
    let table = routes(&mut socket)?;
    let own = addresses(&mut socket, None)?;
    let names: BTreeMap<u32, String> =
        links(&mut socket)?.into_iter().map(|link| (link.ifindex, link.name)).collect();
    let name = |device: u32| names.get(&device).cloned().unwrap_or_else(|| device.to_string());
    let mut found = Vec::new();
    for cidr in cidrs {
        for address in own.iter().filter(|address| !address.ours) {
            if cidr.contains(&address.net.addr()) {
                let device = name(address.ifindex);
                found.push(format!("pod CIDR {cidr} overlaps address {} of {device}", address.net));
            }
        }
        for route in table.iter().filter(|route| !route.ours()) {
            if cidr.contains(&route.destination) {
                found.push(format!("pod CIDR {cidr} overlaps {}", route.describe(name)));
            }
        }
    }
    Ok(found)
}
