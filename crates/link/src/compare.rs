//! How a pod's link differs from the wish, in words.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::attach::{Ends, default_net};
use crate::device::LinkView;
use crate::message::{Mac, get_link, host_net};
use crate::view::{AddressView, NeighbourView, RouteView, addresses, neighbours, routes};
use crate::wire::Socket;
use crate::{Error, HOST_MAC, PodLink, PodLinkSpec, Result};

/// Ok when both sides are as [`crate::attach`] makes them.
pub(crate) fn compare(ends: &mut Ends<'_>, spec: &PodLinkSpec) -> Result<PodLink> {
    let host = get_link(&mut ends.host, &spec.host_name)?.map(LinkView::new);
    let pod = get_link(&mut ends.pod, &spec.pod_name)?.map(LinkView::new);
    let (Some(host), Some(pod)) = (&host, &pod) else {
        let mut missing = Vec::new();
        if host.is_none() {
            missing.push(format!("the node has no link {}", spec.host_name));
        }
        if pod.is_none() {
            missing.push(format!("the pod has no interface {}", spec.pod_name));
        }
        return Err(Error::NotAsWanted(missing));
    };
    let mut wrong = Vec::new();
    if host.peer != Some(pod.ifindex) || pod.peer != Some(host.ifindex) {
        wrong.push(format!("{} and the pod's {} are not a pair", host.name, pod.name));
    }
    compare_side(&mut wrong, host, HOST_MAC, spec.mtu);
    compare_side(&mut wrong, pod, spec.pod_mac(), spec.mtu);
    compare_pod(&mut wrong, &mut ends.pod, pod, spec)?;
    compare_host(&mut wrong, &mut ends.host, host, spec)?;
    if wrong.is_empty() {
        let host_ifindex = host.ifindex;
        Ok(PodLink { host_ifindex, host_mac: HOST_MAC, pod_mac: spec.pod_mac() })
    } else {
        Err(Error::NotAsWanted(wrong))
    }
}

fn compare_side(wrong: &mut Vec<String>, link: &LinkView, mac: Mac, mtu: u32) {
    if !link.up {
        wrong.push(format!("{} is down", link.name));
    }
    if link.mtu != mtu {
        wrong.push(format!("{} has MTU {} instead of {mtu}", link.name, link.mtu));
    }
    if link.mac != Some(mac) {
        wrong.push(format!("{} has another MAC address", link.name));
    }
}

fn compare_pod(
    wrong: &mut Vec<String>,
    socket: &mut Socket,
    pod: &LinkView,
    spec: &PodLinkSpec,
) -> Result<()> {
    let found: Vec<AddressView> = addresses(socket, Some(pod.ifindex))?;
    for own in &spec.addresses {
        if !found.iter().any(|there| there.net == host_net(*own)) {
            wrong.push(format!("{} lacks address {own}", pod.name));
        }
    }
    for there in found.iter().filter(|there| there.global) {
        if !spec.addresses.iter().any(|own| there.net == host_net(*own)) {
            wrong.push(format!("{} has address {} that is not the pod's", pod.name, there.net));
        }
    }
    let table: Vec<RouteView> = routes(socket)?;
    let known = neighbours(socket, pod.ifindex)?;
    for gateway in spec.gateways() {
        let has = |destination: IpNet, via: Option<IpAddr>| {
            table.iter().any(|route| {
                route.destination == destination
                    && route.devices == [pod.ifindex]
                    && route.via == via
            })
        };
        if !has(default_net(gateway), Some(gateway)) {
            wrong.push(format!("the pod has no default route by {gateway} on {}", pod.name));
        }
        if !has(host_net(gateway), None) {
            wrong.push(format!("the pod has no route to {gateway} on {}", pod.name));
        }
        compare_neighbour(wrong, &known, pod, gateway, HOST_MAC);
    }
    Ok(())
}

fn compare_host(
    wrong: &mut Vec<String>,
    socket: &mut Socket,
    host: &LinkView,
    spec: &PodLinkSpec,
) -> Result<()> {
    let table = routes(socket)?;
    let known = neighbours(socket, host.ifindex)?;
    let leads_here = |route: &&RouteView| route.devices == [host.ifindex];
    for own in &spec.addresses {
        let net = host_net(*own);
        if !table.iter().filter(leads_here).any(|route| route.destination == net) {
            wrong.push(format!("the node has no route to {own} on {}", host.name));
        }
        compare_neighbour(wrong, &known, host, *own, spec.pod_mac());
    }
    for route in table.iter().filter(leads_here) {
        if !spec.addresses.iter().any(|own| host_net(*own) == route.destination) {
            wrong.push(format!("the node routes {} to {} too", route.destination, host.name));
        }
    }
    Ok(())
}

fn compare_neighbour(
    wrong: &mut Vec<String>,
    known: &[NeighbourView],
    link: &LinkView,
    address: IpAddr,
    mac: Mac,
) {
    let wanted = NeighbourView { address, mac, permanent: true };
    if !known.contains(&wanted) {
        wrong.push(format!("{} has no permanent neighbour {address}", link.name));
    }
}
