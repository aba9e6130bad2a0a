//! Makes a pod's link in the kernel, and tells how one differs from the wish.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::AddressScope;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{RouteAttribute, RouteProtocol};

use crate::compare::compare;
use crate::message::{
    Mac, address, delete_link, get_link, host_net, link_route, link_up, no_link_local,
    permanent_neighbour, replace_route, route,
};
use crate::netns::enter;
use crate::sysctl::{ipv6_available, set_link_sysctls};
use crate::wire::{Request, Socket};
use crate::{Error, HOST_MAC, PROTOCOL, PodLink, PodLinkSpec, Result};

const LO: &str = "lo";
const CARRIER_DEADLINE: Duration = Duration::from_secs(3);
const CARRIER_POLL: Duration = Duration::from_micros(200);
/// Routes inside pods have the number that `ip route add` gives: they are the pod's, and a node
/// that is itself a pod would else take them for its own.
const POD_PROTOCOL: RouteProtocol = RouteProtocol::Boot;

/// A socket in each namespace; the calling thread moves between them for sysctls.
pub(crate) struct Ends<'a> {
    pub host: Socket,
    pub pod: Socket,
    host_netns: BorrowedFd<'a>,
    pod_netns: BorrowedFd<'a>,
}

impl<'a> Ends<'a> {
    fn open(host_netns: BorrowedFd<'a>, pod_netns: BorrowedFd<'a>) -> Result<Self> {
        enter(pod_netns)?;
        let pod = Socket::open()?;
        enter(host_netns)?;
        Ok(Self { host: Socket::open()?, pod, host_netns, pod_netns })
    }
}

/// Ends in an undefined namespace: for a thread of its own.
pub(crate) fn attach(
    host_netns: BorrowedFd<'_>,
    pod_netns: BorrowedFd<'_>,
    spec: &PodLinkSpec,
) -> Result<PodLink> {
    let mut ends = Ends::open(host_netns, pod_netns)?;
    if get_link(&mut ends.host, &spec.host_name)?.is_some() {
        match compare(&mut ends, spec) {
            Ok(link) => return Ok(link),
            Err(why) => tracing::info!(link = spec.host_name, %why, "remaking a pod's link"),
        }
        delete_link(&mut ends.host, &spec.host_name)?;
    }
    let host_ifindex = create(&mut ends, spec)?;
    match configure(&mut ends, spec, host_ifindex) {
        Ok(()) => Ok(PodLink { host_ifindex, host_mac: HOST_MAC, pod_mac: spec.pod_mac() }),
        Err(error) => {
            if let Err(left) = delete_link(&mut ends.host, &spec.host_name) {
                tracing::warn!(error = %left, "a half-made pod link stays behind");
            }
            Err(error)
        }
    }
}

/// See [`attach`] for the thread.
pub(crate) fn check(
    host_netns: BorrowedFd<'_>,
    pod_netns: BorrowedFd<'_>,
    spec: &PodLinkSpec,
) -> Result<PodLink> {
    compare(&mut Ends::open(host_netns, pod_netns)?, spec)
}

/// The pair in one request, the peer made inside the pod's namespace at once: moving it there
/// later would cost the kernel a grace period. Down yet, so that sysctls come first.
fn create(ends: &mut Ends<'_>, spec: &PodLinkSpec) -> Result<u32> {
    let side = |name: &str, mac: Mac| {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.into()));
        link.attributes.push(LinkAttribute::Address(mac.to_vec()));
        link.attributes.push(LinkAttribute::Mtu(spec.mtu));
        link
    };
    let mut peer = side(&spec.pod_name, spec.pod_mac());
    peer.attributes.push(LinkAttribute::NetNsFd(ends.pod_netns.as_raw_fd()));
    let mut pair = side(&spec.host_name, HOST_MAC);
    pair.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let what = format!("create link {} of a pod", spec.host_name);
    let request = Request::new(what, NLM_F_CREATE | NLM_F_EXCL, Message::NewLink(pair));
    match ends.host.run_one(request) {
        Err(error) if error.errno() == Some(rustix::io::Errno::EXIST) => {
            return Err(Error::NameTaken { name: spec.pod_name.clone() });
        }
        other => other?,
    };
    let link = get_link(&mut ends.host, &spec.host_name)?;
    Ok(link.ok_or_else(|| Error::NoDevice(spec.host_name.clone()))?.header.index)
}

fn configure(ends: &mut Ends<'_>, spec: &PodLinkSpec, host_ifindex: u32) -> Result<()> {
    set_link_sysctls(&spec.host_name, HOST_SYSCTLS_V4, HOST_SYSCTLS_V6)?;
    enter(ends.pod_netns)?;
    let v6 = if spec.has_ipv6() { POD_SYSCTLS_V6 } else { &POD_SYSCTLS_V6[..1] };
    let configured = set_link_sysctls(&spec.pod_name, &[], v6);
    let ipv6 = ipv6_available();
    enter(ends.host_netns)?;
    configured?;
    let pod = get_link(&mut ends.pod, &spec.pod_name)?
        .ok_or_else(|| Error::NoDevice(spec.pod_name.clone()))?;
    ends.pod.run_all(pod_side(spec, pod.header.index, ipv6))?;
    ends.host.run_all(host_side(spec, host_ifindex))?;
    await_carrier(&mut ends.host, &spec.host_name)?;
    await_carrier(&mut ends.pod, &spec.pod_name)
}

/// The side that came up first sends nothing until the kernel's link watch has seen that the other
/// is up too; that runs on its own, for devices that are not urgent once a second. Since 6.8 it is
/// caught up with when somebody asks for the link (linkwatch_sync_dev), before it is waited for.
fn await_carrier(socket: &mut Socket, name: &str) -> Result<()> {
    let deadline = Instant::now() + CARRIER_DEADLINE;
    loop {
        let link = get_link(socket, name)?.ok_or_else(|| Error::NoDevice(name.into()))?;
        if link.header.flags.contains(LinkFlags::Running) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::NotAsWanted(vec![format!("{name} stays without a carrier")]));
        }
        std::thread::sleep(CARRIER_POLL);
    }
}

/// Replies of pods come in by their link only, but a Service's answer may leave by another one:
/// strict reverse path filtering would drop it.
const HOST_SYSCTLS_V4: &[(&str, &str)] =
    &[("rp_filter", "0"), ("forwarding", "1"), ("send_redirects", "0"), ("proxy_arp", "0")];
const HOST_SYSCTLS_V6: &[(&str, &str)] = &[("accept_ra", "0"), ("forwarding", "1")];
/// The first for every pod, the others for those with an IPv6 address.
const POD_SYSCTLS_V6: &[(&str, &str)] =
    &[("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")];

fn pod_side(spec: &PodLinkSpec, device: u32, ipv6: bool) -> Vec<Request> {
    let mut requests = vec![link_up(LO)];
    if ipv6 {
        requests.push(no_link_local(&spec.pod_name));
    }
    requests.push(link_up(&spec.pod_name));
    for own in &spec.addresses {
        let message = address(device, *own, AddressScope::Universe);
        let what = format!("add address {own} to {}", spec.pod_name);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        requests.push(Request::new(what, flags, Message::NewAddress(message)));
    }
    for gateway in spec.gateways() {
        requests.push(permanent_neighbour(device, gateway, HOST_MAC));
        let net = host_net(gateway);
        requests.push(replace_route(net, link_route(net, device, POD_PROTOCOL)));
        let everything = default_net(gateway);
        let mut message = route(everything, device, POD_PROTOCOL);
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        requests.push(replace_route(everything, message));
    }
    requests
}

fn host_side(spec: &PodLinkSpec, device: u32) -> Vec<Request> {
    let mut requests = Vec::new();
    if ipv6_available() {
        requests.push(no_link_local(&spec.host_name));
    }
    requests.push(link_up(&spec.host_name));
    for own in &spec.addresses {
        requests.push(permanent_neighbour(device, *own, spec.pod_mac()));
        let net = host_net(*own);
        let message = link_route(net, device, RouteProtocol::Other(PROTOCOL));
        requests.push(replace_route(net, message));
    }
    requests
}

pub(crate) fn default_net(gateway: IpAddr) -> IpNet {
    IpNet::new(gateway, 0).expect("0 is a length of every family").trunc()
}
