//! Addresses that the node answers on although they are on none of its networks, put on `lo`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressProtocol, AddressScope, CacheInfo};

use crate::message::{address, get_link, host_net};
use crate::view::addresses;
use crate::wire::{Request, Socket};
use crate::{Changes, Error, Handle, PROTOCOL, Result};

impl Handle {
    /// Makes our addresses on `lo` equal to `wanted`. They are marked (IFA_PROTO, kernel 5.18), so
    /// that those of others are never touched; a wished one that somebody else put there serves.
    ///
    /// # Errors
    /// Only when the addresses cannot be read; the rest is in [`Changes`].
    pub async fn sync_lo_addresses(&self, wanted: &[IpAddr]) -> Result<Changes> {
        let wanted: BTreeSet<IpNet> = wanted.iter().map(|address| host_net(*address)).collect();
        self.run(move || sync(&mut Socket::open()?, &wanted)).await
    }
}

fn sync(socket: &mut Socket, wanted: &BTreeSet<IpNet>) -> Result<Changes> {
    let lo = get_link(socket, "lo")?.ok_or_else(|| Error::NoDevice("lo".into()))?.header.index;
    let found = addresses(socket, Some(lo))?;
    let there: BTreeSet<IpNet> = found.iter().map(|address| address.net).collect();
    let add: Vec<IpNet> = wanted.difference(&there).copied().collect();
    let remove: Vec<IpNet> = found
        .iter()
        .filter(|address| address.ours && !wanted.contains(&address.net))
        .map(|address| address.net)
        .collect();
    let mut changes = Changes::default();
    let answers = socket.run(add.iter().map(|net| addition(lo, *net)).collect())?;
    for (net, answer) in add.into_iter().zip(answers) {
        match answer {
            Ok(_) => changes.added.push(net),
            Err(error) => changes.failed.push(error),
        }
    }
    let answers = socket.run(remove.iter().map(|net| removal(lo, *net)).collect())?;
    for (net, answer) in remove.into_iter().zip(answers) {
        match answer {
            Ok(_) => changes.removed.push(net),
            Err(error) if error.errno() == Some(rustix::io::Errno::ADDRNOTAVAIL) => {}
            Err(error) => changes.failed.push(error),
        }
    }
    Ok(changes)
}

fn addition(lo: u32, net: IpNet) -> Request {
    let mut message = address(lo, net.addr(), AddressScope::Host);
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    if net.addr().is_ipv6() {
        // deprecated, for ever: the node must not send from it (RFC 6724, 5, rule 3), which it else
        // would to addresses that resemble this one more than its own
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    Request::new(format!("add address {net} to lo"), flags, Message::NewAddress(message))
}

fn removal(lo: u32, net: IpNet) -> Request {
    let message = address(lo, net.addr(), AddressScope::Host);
    Request::new(format!("remove address {net} from lo"), 0, Message::DelAddress(message))
}
