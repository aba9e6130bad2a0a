//! The node's network devices.

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::{
    InfoData, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};

use crate::message::Mac;
use crate::view::addresses;
use crate::wire::Socket;
use crate::{Handle, Result, is_host_link_name};

/// A network device and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's number for it.
    pub ifindex: u32,
    /// For example "eth0".
    pub name: String,
    /// Ethernet address, where the device has one.
    pub mac: Option<Mac>,
    /// In bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// What made it ("veth", "bridge", "vxlan", ...); none for hardware and lo.
    pub kind: Option<String>,
    /// ifindex of the bridge or bond it belongs to.
    pub master: Option<u32>,
    /// Addresses of global scope with their networks, except those that Fairlead put there.
    pub addresses: Vec<IpNet>,
}

/// The host's side of a pod's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLinkState {
    /// See [`crate::host_link_name`].
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// Administratively up.
    pub up: bool,
}

/// What this crate reads of a link.
#[derive(Debug)]
pub(crate) struct LinkView {
    pub ifindex: u32,
    pub name: String,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    pub noarp: bool,
    pub kind: Option<String>,
    pub data: Option<InfoData>,
    pub master: Option<u32>,
    /// The other side of a pair, in its own namespace's numbers.
    pub peer: Option<u32>,
}

impl LinkView {
    pub fn new(message: LinkMessage) -> Self {
        let mut view = Self {
            ifindex: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            noarp: message.header.flags.contains(LinkFlags::Noarp),
            kind: None,
            data: None,
            master: None,
            peer: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => view.name = name,
                LinkAttribute::Address(mac) => view.mac = mac.try_into().ok(),
                LinkAttribute::Mtu(mtu) => view.mtu = mtu,
                LinkAttribute::Controller(master) => view.master = Some(master),
                LinkAttribute::Link(peer) => view.peer = Some(peer),
                LinkAttribute::LinkInfo(infos) => view.read_info(infos),
                _ => {}
            }
        }
        view
    }

    fn read_info(&mut self, infos: Vec<LinkInfo>) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.to_string()),
                LinkInfo::Data(data) => self.data = Some(data),
                _ => {}
            }
        }
    }
}

/// All links of the socket's namespace.
pub(crate) fn links(socket: &mut Socket) -> Result<Vec<LinkView>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let answer = socket.dump("list links", Message::GetLink(message))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            Message::NewLink(link) => Some(LinkView::new(link)),
            _ => None,
        })
        .collect())
}

impl Handle {
    /// All network devices, the pods' links among them.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        self.run(|| {
            let mut socket = Socket::open()?;
            let links = links(&mut socket)?;
            let addresses = addresses(&mut socket, None)?;
            let of = |ifindex: u32| {
                let own = |address: &&crate::view::AddressView| address.ifindex == ifindex;
                let foreign = addresses.iter().filter(own).filter(|a| a.global && !a.ours);
                foreign.map(|address| address.net).collect()
            };
            Ok(links.into_iter().map(|link| device(link, of)).collect())
        })
        .await
    }

    /// The host's sides of all pods' links.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn pod_links(&self) -> Result<Vec<PodLinkState>> {
        self.run(|| {
            let links = links(&mut Socket::open()?)?;
            let ours = links.into_iter().filter(|link| is_host_link_name(&link.name));
            Ok(ours
                .map(|link| PodLinkState { name: link.name, ifindex: link.ifindex, up: link.up })
                .collect())
        })
        .await
    }
}

fn device(link: LinkView, addresses: impl Fn(u32) -> Vec<IpNet>) -> Device {
    Device {
        ifindex: link.ifindex,
        mac: link.mac,
        mtu: link.mtu,
        up: link.up,
        kind: link.kind,
        master: link.master,
        addresses: addresses(link.ifindex),
        name: link.name,
    }
}
