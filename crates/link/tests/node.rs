//! The node's own devices, routes and addresses, in real namespaces.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use common::{Node, echo, ip, node, picture, spec};
use fairlead_link::{Changes, Netns, Route, RouteKind, VxlanSpec};
use ipnet::IpNet;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// An uplink: eth0 with 192.0.2.1/24 and 2001:db8::1/64, the other end up too.
fn uplink(node: &Node) -> u32 {
    node.sh("ip link add eth0 type veth peer name far; ip link set far up; ip link set eth0 up; \
         ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad");
    node.sh("ip -o link show eth0 | cut -d: -f1").trim().parse().unwrap()
}

fn direct(destination: &str, device: u32, via: &str) -> Route {
    let (destination, via) = (net(destination), Some(ip(via)));
    let kind = RouteKind::Unicast;
    Route { destination, kind, device, via, source: None, mtu: None, onlink: false }
}

fn nothing(changes: &Changes) -> bool {
    changes.added.is_empty()
        && changes.removed.is_empty()
        && changes.conflicts.is_empty()
        && changes.failed.is_empty()
}

#[tokio::test]
async fn routes_become_equal_to_the_wish_and_stay_so() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    let mut wanted = vec![
        direct("10.244.1.0/24", device, "192.0.2.7"),
        direct("fd00:1::/64", device, "2001:db8::7"),
        Route {
            source: Some(ip("192.0.2.1")),
            mtu: Some(1400),
            onlink: true,
            ..direct("10.244.2.0/24", device, "198.51.100.9")
        },
        Route { via: None, ..direct("fd00:3::/64", device, "::") },
        Route { via: None, ..direct("10.244.3.0/24", device, "::") },
        direct("10.244.4.0/24", device, "2001:db8::7"),
    ];
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!((changes.added.len(), changes.failed.len()), (6, 0), "{changes:?}");
    let table = node.sh("ip route show proto 102; ip -6 route show proto 102");
    for line in [
        "10.244.1.0/24 via 192.0.2.7 dev eth0",
        "10.244.2.0/24 via 198.51.100.9 dev eth0 src 192.0.2.1 onlink mtu 1400",
        "10.244.3.0/24 dev eth0 scope link",
        "10.244.4.0/24 via inet6 2001:db8::7 dev eth0",
        "fd00:1::/64 via 2001:db8::7 dev eth0",
        "fd00:3::/64 dev eth0",
    ] {
        assert!(table.contains(line), "{line} in:\n{table}");
    }
    assert!(nothing(&node.link.sync_routes(&wanted).await.unwrap()));
    assert_eq!(node.sh("ip route show proto 102; ip -6 route show proto 102"), table);

    // One changes, one goes, and somebody wiped one.
    wanted[0].via = Some(ip("192.0.2.8"));
    wanted.pop();
    node.sh("ip -6 route del fd00:1::/64");
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!(changes.added, [net("10.244.1.0/24"), net("fd00:1::/64")]);
    assert_eq!(changes.removed, [net("10.244.4.0/24")]);
    assert!(node.sh("ip route show 10.244.1.0/24").contains("via 192.0.2.8"));

    let changes = node.link.sync_routes(&[]).await.unwrap();
    assert_eq!(changes.removed.len(), 5, "{changes:?}");
    assert_eq!(node.sh("ip route show proto 102; ip -6 route show proto 102"), "");
    assert!(node.sh("ip route").contains("192.0.2.0/24"), "others' routes stay");
}

#[tokio::test]
async fn an_address_of_the_nodes_cidr_without_a_pod_is_refused_and_those_of_pods_are_not() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    node.sh("ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8::fe");
    node.link.prepare_host().await.unwrap();
    let (pod, lonely) = (Netns::unnamed().unwrap(), ["10.244.0.99", "fd00::99"]);
    node.link.attach_pod(pod.as_fd(), &spec("u", &["10.244.0.5", "fd00::5"])).await.unwrap();
    let refuses = |address: &str| {
        let (target, patience) = ((ip(address), 9).into(), Duration::from_secs(2));
        let error = pod.run(|| TcpStream::connect_timeout(&target, patience)).unwrap().unwrap_err();
        // IPv6 says "no route to destination" (RFC 4443, 3.1).
        use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable};
        matches!(error.kind(), HostUnreachable | NetworkUnreachable)
    };
    let cidrs = [net("10.244.0.0/24"), net("fd00::/64")];
    let wanted = cidrs.map(Route::unreachable);
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!((changes.added.len(), changes.failed.len()), (2, 0), "{changes:?}");
    let table = node.sh("ip route show proto 102; ip -6 route show proto 102");
    for line in ["unreachable 10.244.0.0/24", "unreachable fd00::/64"] {
        assert!(table.contains(line), "{line} in:\n{table}");
    }
    assert!(nothing(&node.link.sync_routes(&wanted).await.unwrap()));
    for address in lonely {
        assert!(refuses(address), "{address}");
        assert!(node.link.route_to(ip(address)).await.is_err());
    }
    assert_eq!(echo(&node.netns, &pod, ip("10.244.0.5")).unwrap(), ip("192.0.2.1"));
    assert_eq!(node.link.overlaps(&cidrs).await.unwrap(), [""; 0]);
    assert_eq!(node.link.default_route_devices().await.unwrap(), [device]);

    // The CIDR becomes another node's, and another one this node's; then all of it goes.
    let others =
        [direct("10.244.0.0/24", device, "192.0.2.7"), Route::unreachable(net("fd00::/48"))];
    let changes = node.link.sync_routes(&others).await.unwrap();
    assert_eq!((changes.added.len(), changes.failed.len()), (2, 0), "{changes:?}");
    assert!(nothing(&node.link.sync_routes(&others).await.unwrap()));
    assert!(node.sh("ip route show 10.244.0.0/24").contains("via 192.0.2.7"));
    let changes = node.link.sync_routes(&[]).await.unwrap();
    assert_eq!((changes.removed.len(), changes.failed.len()), (2, 0), "{changes:?}");
    assert!(!node.sh("ip route; ip -6 route").contains("unreachable"));
}

#[tokio::test]
async fn routes_to_pods_links_are_not_pruned() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    node.link.attach_pod(pod.as_fd(), &spec("p", &["10.244.0.5", "fd00::5"])).await.unwrap();
    assert!(nothing(&node.link.sync_routes(&[]).await.unwrap()));
    assert!(node.sh("ip route; ip -6 route").contains("10.244.0.5"));
}

#[tokio::test]
async fn somebody_elses_route_is_named_and_not_overwritten() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    // With another metric too: ours would win over it.
    node.sh("ip route add 10.244.1.0/24 via 192.0.2.66 proto static metric 50; \
         ip -6 route add fd00:1::/64 via 2001:db8::66 proto bird");
    let before = picture(&node.netns);
    let wanted = [
        direct("10.244.1.0/24", device, "192.0.2.7"),
        direct("fd00:1::/64", device, "2001:db8::7"),
    ];
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!(changes.conflicts.len(), 2, "{changes:?}");
    let text = changes.conflicts[0].to_string();
    assert!(text.contains("10.244.1.0/24 via 192.0.2.66 dev eth0 proto static"), "{text}");
    let text = changes.conflicts[1].to_string();
    assert!(text.contains("fd00:1::/64 via 2001:db8::66 dev eth0 proto bird"), "{text}");
    assert_eq!(picture(&node.netns), before);
    node.sh("ip route del 10.244.1.0/24");
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!((changes.added, changes.conflicts.len()), (vec![net("10.244.1.0/24")], 1));
}

#[tokio::test]
async fn a_route_that_the_kernel_refuses_does_not_stop_the_others() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    let wanted = [
        direct("10.244.1.0/24", device, "203.0.113.1"),
        direct("10.244.2.0/24", 4242, "192.0.2.7"),
        direct("10.244.3.0/24", device, "192.0.2.7"),
    ];
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!(changes.added, [net("10.244.3.0/24")]);
    let texts: Vec<String> = changes.failed.iter().map(ToString::to_string).collect();
    assert!(texts[0].contains("cannot add route 10.244.1.0/24"), "{texts:?}");
    assert!(texts[0].contains("invalid gateway"), "the kernel's words: {texts:?}");
    assert_eq!(texts.len(), 2);
}

#[tokio::test]
async fn hundreds_of_routes_come_and_go() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    let wanted: Vec<Route> = (0..600)
        .map(|n| direct(&format!("10.{}.{}.0/24", n / 256, n % 256), device, "192.0.2.7"))
        .collect();
    let changes = node.link.sync_routes(&wanted).await.unwrap();
    assert_eq!((changes.added.len(), changes.failed.len()), (600, 0));
    assert!(nothing(&node.link.sync_routes(&wanted).await.unwrap()));
    assert_eq!(node.link.sync_routes(&[]).await.unwrap().removed.len(), 600);
}

#[tokio::test]
async fn what_the_host_has_inside_a_pod_cidr_is_named() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    let pod = Netns::unnamed().unwrap();
    node.link.attach_pod(pod.as_fd(), &spec("o", &["10.244.0.5", "fd00::5"])).await.unwrap();
    node.link.sync_routes(&[direct("10.244.1.0/24", device, "192.0.2.7")]).await.unwrap();
    node.link.sync_lo_addresses(&[ip("10.244.9.9")]).await.unwrap();
    node.sh("ip route add default via 192.0.2.254; ip route add 10.0.0.0/8 via 192.0.2.254");
    let cidrs = [net("10.244.0.0/16"), net("fd00::/48")];
    assert_eq!(node.link.overlaps(&cidrs).await.unwrap(), [""; 0]);
    node.sh("ip addr add 10.244.7.1/24 dev eth0; ip route add blackhole 10.244.8.0/24; \
         ip -6 route add fd00:0:0:7::/64 via 2001:db8::66");
    let found = node.link.overlaps(&cidrs).await.unwrap();
    for text in [
        "pod CIDR 10.244.0.0/16 overlaps address 10.244.7.1/24 of eth0",
        "pod CIDR 10.244.0.0/16 overlaps route 10.244.7.0/24 dev eth0 proto kernel",
        "pod CIDR 10.244.0.0/16 overlaps route 10.244.8.0/24 proto boot",
        "pod CIDR fd00::/48 overlaps route fd00:0:0:7::/64 via 2001:db8::66 dev eth0 proto boot",
    ] {
        assert!(found.iter().any(|line| line == text), "{text} in {found:#?}");
    }
    assert_eq!(found.len(), 4);
}

#[tokio::test]
async fn our_addresses_on_lo_are_pruned_and_others_stay() {
    let Some(node) = node() else { return };
    node.sh("ip addr add 10.9.9.9/32 dev lo; ip addr add fd09::9/128 dev lo");
    let own = [ip("10.96.0.10"), ip("fd00:96::a")];
    let changes = node.link.sync_lo_addresses(&own).await.unwrap();
    assert_eq!((changes.added.len(), changes.failed.len()), (2, 0), "{changes:?}");
    let shown = node.sh("ip addr show dev lo");
    assert!(shown.contains("inet 10.96.0.10/32 scope host"), "{shown}");
    assert!(shown.contains("inet6 fd00:96::a/128"), "{shown}");
    assert!(nothing(&node.link.sync_lo_addresses(&own).await.unwrap()));
    // It answers there.
    node.netns.run(|| std::net::TcpListener::bind("10.96.0.10:0").unwrap()).unwrap();
    node.netns.run(|| std::net::TcpListener::bind("[fd00:96::a]:0").unwrap()).unwrap();
    // A restart with another wish; one that somebody else has is neither added nor ours.
    let changes = node.link.sync_lo_addresses(&[ip("10.96.0.11"), ip("10.9.9.9")]).await.unwrap();
    assert_eq!(changes.added, [net("10.96.0.11/32")]);
    assert_eq!(changes.removed.len(), 2);
    node.link.sync_lo_addresses(&[]).await.unwrap();
    let shown = node.sh("ip addr show dev lo");
    assert!(!shown.contains("10.96"), "{shown}");
    assert!(shown.contains("10.9.9.9/32") && shown.contains("fd09::9/128"), "{shown}");
    assert!(shown.contains("127.0.0.1/8") && shown.contains("::1/128"), "{shown}");
}

#[tokio::test]
async fn the_tunnel_device_is_made_found_and_remade() {
    let Some(node) = node() else { return };
    let mut spec = VxlanSpec { name: "fairlead_vxlan".into(), port: 8472, mtu: 1450 };
    let first = node.link.ensure_vxlan(&spec).await.unwrap();
    let shown = node.sh("ip -d link show fairlead_vxlan");
    for part in [
        "vxlan external",
        "dstport 8472",
        "nolearning",
        "udp6zerocsumtx",
        "udp6zerocsumrx",
        "NOARP",
        ",UP",
        "mtu 1450",
        "0a:66:6c:ff:00:01",
        "addrgenmode none",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(node.sh("ip -6 addr show dev fairlead_vxlan"), "");
    assert_eq!(node.link.ensure_vxlan(&spec).await.unwrap(), first);
    assert_eq!(node.sh("ip -d link show fairlead_vxlan"), shown);

    node.sh("ip link set fairlead_vxlan down mtu 1300 address 0a:00:00:00:00:01");
    assert_eq!(node.link.ensure_vxlan(&spec).await.unwrap(), first, "changed in place");
    assert_eq!(node.sh("ip -d link show fairlead_vxlan"), shown);

    spec.port = 4789;
    let second = node.link.ensure_vxlan(&spec).await.unwrap();
    assert_ne!(second, first);
    assert!(node.sh("ip -d link show fairlead_vxlan").contains("dstport 4789"));

    let taken = VxlanSpec { name: "other".into(), ..spec.clone() };
    let error = node.link.ensure_vxlan(&taken).await.unwrap_err().to_string();
    assert!(error.contains("UDP port 4789"), "{error}");

    node.link.remove_link("fairlead_vxlan").await.unwrap();
    node.link.remove_link("fairlead_vxlan").await.unwrap();
    node.sh("ip link add fairlead_vxlan type bridge");
    node.link.ensure_vxlan(&spec).await.unwrap();
    assert!(node.sh("ip -d link show fairlead_vxlan").contains("vxlan external"));
}

#[tokio::test]
async fn devices_are_told_with_their_kinds_and_addresses() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    node.sh("ip link add br0 type bridge; ip link set far master br0");
    node.link.sync_lo_addresses(&[ip("10.96.0.10"), ip("fd00:96::a")]).await.unwrap();
    let devices = node.link.devices().await.unwrap();
    let named = |name: &str| devices.iter().find(|device| device.name == name).unwrap();
    let eth0 = named("eth0");
    assert_eq!((eth0.ifindex, eth0.mtu, eth0.up), (device, 1500, true));
    assert_eq!(eth0.kind.as_deref(), Some("veth"));
    assert_eq!(eth0.addresses, [net("192.0.2.1/24"), net("2001:db8::1/64")]);
    assert!(eth0.mac.is_some());
    assert_eq!(named("far").master, Some(named("br0").ifindex));
    assert_eq!(named("br0").kind.as_deref(), Some("bridge"));
    assert_eq!((named("lo").kind.clone(), named("lo").addresses.len()), (None, 0));
}

#[tokio::test]
async fn the_kernel_tells_the_way_to_an_address() {
    let Some(node) = node() else { return };
    let device = uplink(&node);
    assert!(node.link.default_route_devices().await.unwrap().is_empty());
    assert!(node.link.route_to(ip("203.0.113.5")).await.is_err());
    node.sh(
        "ip route add default via 192.0.2.254 mtu 1400; ip -6 route add default via 2001:db8::fe; \
         ip route add unreachable 203.0.113.0/25",
    );
    let way = node.link.route_to(ip("203.0.113.200")).await.unwrap();
    assert_eq!((way.ifindex, way.gateway), (device, Some(ip("192.0.2.254"))));
    assert_eq!((way.source, way.mtu), (ip("192.0.2.1"), Some(1400)));
    let way = node.link.route_to(ip("192.0.2.9")).await.unwrap();
    assert_eq!((way.gateway, way.mtu), (None, None));
    let way = node.link.route_to(ip("2001:db8:7::1")).await.unwrap();
    assert_eq!((way.gateway, way.source), (Some(ip("2001:db8::fe")), ip("2001:db8::1")));
    assert_eq!(node.link.route_to(ip("192.0.2.1")).await.unwrap().ifindex, 1);
    let error = node.link.route_to(ip("203.0.113.5")).await.unwrap_err();
    assert!(error.to_string().contains("no route to 203.0.113.5"), "{error}");
    assert_eq!(node.link.default_route_devices().await.unwrap(), [device]);
}

#[tokio::test]
async fn a_watcher_hears_of_links_addresses_and_routes() {
    let Some(node) = node() else { return };
    // On lo, as nothing comes of these later by itself; each with a watcher that heard of nothing.
    for command in [
        "ip addr add 192.0.2.1/32 dev lo",
        "ip -6 addr add 2001:db8::1/128 dev lo noprefixroute",
        "ip route add 10.9.0.0/16 dev lo",
        "ip -6 route add fd09::/64 dev lo",
        "ip link set lo mtu 60000",
        "ip link add eth0 type veth peer name far",
    ] {
        let mut changes = node.link.watch().unwrap();
        tokio::task::yield_now().await;
        assert!(changes.try_recv().is_err(), "before {command}");
        node.sh(command);
        let heard = tokio::time::timeout(Duration::from_secs(5), changes.recv()).await;
        assert_eq!(heard.expect(command), Some(()));
    }
}

#[tokio::test]
async fn a_watcher_hears_nothing_of_pods() {
    let Some(node) = node() else { return };
    let mut changes = node.link.watch().unwrap();
    for round in 0..3 {
        let pod = Netns::unnamed().unwrap();
        let spec = spec(&round.to_string(), &["10.244.0.5", "fd00::5"]);
        node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
        node.link.detach_pod(&spec.host_name).await.unwrap();
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(changes.try_recv().is_err());
    node.sh("ip link set lo mtu 60000");
    let heard = tokio::time::timeout(Duration::from_secs(5), changes.recv()).await;
    assert_eq!(heard.unwrap(), Some(()));
}

#[tokio::test]
async fn a_watcher_is_told_once_of_many_changes() {
    let Some(node) = node() else { return };
    let mut changes = node.link.watch().unwrap();
    // The runtime has one thread: nothing is received before all is done.
    node.sh("for n in $(seq 200); do ip route add 10.9.$n.0/24 dev lo; done");
    changes.recv().await.unwrap();
    let mut more = 0;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
        more += usize::from(changes.try_recv().is_ok());
    }
    assert!(more <= 5, "{more}");
}

#[tokio::test]
async fn a_host_is_made_a_router_and_keeps_its_advertised_route() {
    let Some(node) = node() else { return };
    uplink(&node);
    node.sh("ip -6 route add default via fe80::9 dev eth0 proto ra");
    let read = |name: &str| node.sh(&format!("cat /proc/sys/net/{name}")).trim().to_owned();
    assert_eq!(
        (read("ipv4/ip_forward"), read("ipv6/conf/eth0/accept_ra")),
        ("0".into(), "1".into())
    );
    let changed = node.link.prepare_host().await.unwrap();
    assert_eq!(
        changed,
        [
            "net/ipv4/ip_forward = 1",
            "net/ipv6/conf/eth0/accept_ra = 2",
            "net/ipv6/conf/all/forwarding = 1"
        ]
    );
    assert_eq!(
        (read("ipv4/ip_forward"), read("ipv6/conf/all/forwarding")),
        ("1".into(), "1".into())
    );
    assert_eq!(
        (read("ipv6/conf/eth0/accept_ra"), read("ipv6/conf/far/accept_ra")),
        ("2".into(), "1".into())
    );
    assert!(node.sh("ip -6 route").contains("default via fe80::9 dev eth0 proto ra"));
    assert!(node.link.prepare_host().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sysctl_that_cannot_be_set_is_named() {
    let Some(node) = node() else { return };
    let error = node.link.set_sysctl("net/ipv4/no_such", "1").await.unwrap_err().to_string();
    assert!(error.contains("cannot read sysctl net/ipv4/no_such: No such file"), "{error}");
    let error = node.link.set_sysctl("net/ipv4/ip_forward", "x").await.unwrap_err().to_string();
    assert!(error.contains("set") && error.contains("net/ipv4/ip_forward"), "{error}");
    assert!(node.link.set_sysctl("net/ipv4/ip_forward", "1").await.unwrap());
    assert!(!node.link.set_sysctl("net/ipv4/ip_forward", "1").await.unwrap());
}

#[tokio::test]
async fn offloads_are_told_as_they_are() {
    let Some(node) = node() else { return };
    uplink(&node);
    let offloads = node.link.offloads("eth0").await.unwrap();
    assert!(
        offloads.tso && offloads.tx_checksum && offloads.udp_tunnel_segmentation,
        "{offloads:?}"
    );
    assert!(!offloads.gro, "veth has it off by default");
    node.sh("ethtool -K eth0 tso off tx off gro on tx-udp_tnl-segmentation off");
    let offloads = node.link.offloads("eth0").await.unwrap();
    assert!(!offloads.tso && !offloads.tx_checksum && offloads.gro, "{offloads:?}");
    assert!(!offloads.udp_tunnel_segmentation);
    let error = node.link.offloads("none0").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no network device 'none0'");
}

#[tokio::test]
async fn a_named_namespace_can_be_opened_and_leaves_no_name() {
    let Some(_) = node() else { return };
    let name = format!("fl-link-test-{}", std::process::id());
    let netns = Netns::create(&name).unwrap();
    assert!(Netns::create(&name).is_err(), "the name is taken");
    let inside = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let opened = Netns::open(&name).unwrap();
    let (one, other) = (netns.run(inside), fairlead_link::in_netns(opened.as_fd(), inside));
    assert_eq!(one.unwrap(), other.unwrap());
    drop(netns);
    assert!(Netns::open(&name).is_err());
    Netns::delete(&name).unwrap();
}
