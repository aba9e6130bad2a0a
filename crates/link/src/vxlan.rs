//! The tunnel device: one for all nodes, told by the datapath where each packet goes.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::device::LinkView;
use crate::message::{Mac, delete_link, get_link, no_link_local, set_link};
use crate::pod::check_name;
use crate::sysctl::{ipv6_available, set_link_sysctls};
use crate::wire::{Request, Socket};
use crate::{Error, Handle, Result};

/// The tunnel device's Ethernet address, the same on every node: frames that come out of the
/// tunnel are always for the node, and who sends needs to learn nothing.
pub const TUNNEL_MAC: Mac = [0x0a, 0x66, 0x6c, 0xff, 0x00, 0x01];

/// The wish for the tunnel device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VxlanSpec {
    /// For example "fairlead_vxlan".
    pub name: String,
    /// UDP port; 4789 is IANA's, 8472 what Linux used before.
    pub port: u16,
    /// Of the packets inside, in bytes.
    pub mtu: u32,
}

/// Answers leave where the datapath says, not where the kernel's table says.
const SYSCTLS_V4: &[(&str, &str)] =
    &[("rp_filter", "0"), ("forwarding", "1"), ("send_redirects", "0")];
const SYSCTLS_V6: &[(&str, &str)] = &[("accept_ra", "0"), ("forwarding", "1")];

impl Handle {
    /// Makes the tunnel device, or finds it as wished; returns its ifindex. One with another port
    /// or mode is remade, MTU and address are changed in place.
    ///
    /// # Errors
    /// When another device has the port, or the kernel knows no VXLAN.
    pub async fn ensure_vxlan(&self, spec: &VxlanSpec) -> Result<u32> {
        check_name(&spec.name)?;
        let spec = spec.clone();
        self.run(move || ensure(&mut Socket::open()?, &spec)).await
    }
}

fn ensure(socket: &mut Socket, spec: &VxlanSpec) -> Result<u32> {
    let existing = get_link(socket, &spec.name)?.map(LinkView::new);
    let link = match existing {
        Some(link) if mode_is_wanted(&link, spec) => link,
        other => {
            if other.is_some() {
                delete_link(socket, &spec.name)?;
            }
            create(socket, spec)?
        }
    };
    set_link_sysctls(&spec.name, SYSCTLS_V4, SYSCTLS_V6)?;
    let as_wanted = link.up && link.noarp && link.mtu == spec.mtu && link.mac == Some(TUNNEL_MAC);
    if !as_wanted {
        socket.run_all(settings(&link, spec))?;
    }
    Ok(link.ifindex)
}

fn create(socket: &mut Socket, spec: &VxlanSpec) -> Result<LinkView> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(spec.name.clone()));
    link.attributes.push(LinkAttribute::Address(TUNNEL_MAC.to_vec()));
    link.attributes.push(LinkAttribute::Mtu(spec.mtu));
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Vxlan),
        LinkInfo::Data(InfoData::Vxlan(mode(spec))),
    ]));
    let what = format!(
        "create VXLAN device {} on UDP port {}; is the port another device's? (ip -d link show type vxlan)",
        spec.name, spec.port
    );
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut requests = vec![Request::new(what, flags, Message::NewLink(link))];
    if ipv6_available() {
        requests.push(no_link_local(&spec.name));
    }
    socket.run_all(requests)?;
    let link = get_link(socket, &spec.name)?;
    Ok(LinkView::new(link.ok_or_else(|| Error::NoDevice(spec.name.clone()))?))
}

/// External (collect_metadata): every packet brings its own far end. No UDP checksums over IPv6
/// either (RFC 6935 allows it for tunnels): they would cost what the offloads save.
fn mode(spec: &VxlanSpec) -> Vec<InfoVxlan> {
    vec![
        InfoVxlan::CollectMetadata(true),
        InfoVxlan::Port(spec.port),
        InfoVxlan::Learning(false),
        InfoVxlan::UDPZeroCsumTX(true),
        InfoVxlan::UDPZeroCsumRX(true),
    ]
}

fn mode_is_wanted(link: &LinkView, spec: &VxlanSpec) -> bool {
    match &link.data {
        Some(InfoData::Vxlan(found)) => mode(spec).iter().all(|wanted| found.contains(wanted)),
        _ => false,
    }
}

/// The address cannot change while the device is up: down first, where it must.
fn settings(link: &LinkView, spec: &VxlanSpec) -> Vec<Request> {
    let mut requests = Vec::new();
    if link.mac != Some(TUNNEL_MAC) {
        let mut down = LinkMessage::default();
        down.header.change_mask = LinkFlags::Up;
        requests.push(set_link("take down", &spec.name, down));
        let mut mac = LinkMessage::default();
        mac.attributes.push(LinkAttribute::Address(TUNNEL_MAC.to_vec()));
        requests.push(set_link("set the address of", &spec.name, mac));
    }
    let mut up = LinkMessage::default();
    up.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    up.header.change_mask = LinkFlags::Up | LinkFlags::Noarp;
    up.attributes.push(LinkAttribute::Mtu(spec.mtu));
    requests.push(set_link("bring up", &spec.name, up));
    requests
}
