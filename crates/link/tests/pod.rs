//! Pods' links, in real namespaces.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::os::fd::AsFd;

use common::{echo, eventually, ip, node, picture, sh, spec};
use fairlead_link::{Error, HOST_MAC, Netns};

#[tokio::test]
async fn a_pod_and_its_node_reach_each_other_over_both_families() {
    let Some(node) = node() else { return };
    node.sh("ip addr add 192.0.2.1/32 dev lo; ip addr add 2001:db8::1/128 dev lo");
    let pod = Netns::unnamed().unwrap();
    let spec = spec("a", &["10.244.0.5", "fd00::5"]);
    node.link.prepare_host().await.unwrap();
    let link = node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    assert_eq!((link.host_mac, link.pod_mac), (HOST_MAC, [0x0a, 0x58, 10, 244, 0, 5]));
    for (own, pods) in [("192.0.2.1", "10.244.0.5"), ("2001:db8::1", "fd00::5")] {
        assert_eq!(echo(&node.netns, &pod, ip(pods)).unwrap(), ip(own));
        assert_eq!(echo(&pod, &node.netns, ip(own)).unwrap(), ip(pods));
    }
    // Nobody ever had to ask who has an address, and nobody made one up.
    assert!(!sh(&pod, "ip neigh; ip -6 neigh").contains("REACHABLE"));
    assert_eq!(node.sh(&format!("ip -6 addr show dev {}", spec.host_name)), "");
    assert!(!sh(&pod, "ip -6 addr show dev eth0").contains("scope link"));
}

#[tokio::test]
async fn no_packet_is_lost_right_after_attaching() {
    for round in 0..20 {
        // A fresh node: both sides then have the same ifindex, which the kernel's link watch takes
        // for a device that is not urgent.
        let Some(node) = node() else { return };
        node.sh("ip addr add 192.0.2.1/32 dev lo");
        let pod = Netns::unnamed().unwrap();
        node.link.attach_pod(pod.as_fd(), &spec("now", &["10.244.0.5"])).await.unwrap();
        if round % 2 == 0 {
            echo(&node.netns, &pod, ip("10.244.0.5")).unwrap();
        } else {
            echo(&pod, &node.netns, ip("192.0.2.1")).unwrap();
        }
    }
}

#[tokio::test]
async fn two_pods_of_a_node_reach_each_other_through_it() {
    let Some(node) = node() else { return };
    node.link.prepare_host().await.unwrap();
    let (one, two) = (Netns::unnamed().unwrap(), Netns::unnamed().unwrap());
    node.link.attach_pod(one.as_fd(), &spec("1", &["10.244.0.1", "fd00::1"])).await.unwrap();
    node.link.attach_pod(two.as_fd(), &spec("2", &["10.244.0.2", "fd00::2"])).await.unwrap();
    assert_eq!(echo(&one, &two, ip("10.244.0.2")).unwrap(), ip("10.244.0.1"));
    assert_eq!(echo(&one, &two, ip("fd00::2")).unwrap(), ip("fd00::1"));
}

#[tokio::test]
async fn a_pod_of_one_family_gets_nothing_of_the_other() {
    let Some(node) = node() else { return };
    for (id, own, none) in [("4", "10.244.0.4", "ip -6 route"), ("6", "fd00::6", "ip -4 route")] {
        let pod = Netns::unnamed().unwrap();
        node.link.attach_pod(pod.as_fd(), &spec(id, &[own])).await.unwrap();
        assert_eq!(sh(&pod, none), "");
        let (has, gateway) = if none.contains("-6") {
            ("ip route", "169.254.1.1")
        } else {
            ("ip -6 route", "fe80::1")
        };
        assert!(sh(&pod, has).contains(&format!("default via {gateway} dev eth0")));
    }
}

#[tokio::test]
async fn links_have_the_wished_mtu_and_settings() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let spec = spec("m", &["10.244.0.5", "fd00::5"]);
    node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    assert!(node.sh(&format!("ip link show {}", spec.host_name)).contains("mtu 1450"));
    assert!(sh(&pod, "ip link show eth0").contains("mtu 1450"));
    let read = |name: &str| {
        let text = node.sh(&format!("cat /proc/sys/net/{}", name.replace("LINK", &spec.host_name)));
        text.trim().to_owned()
    };
    assert_eq!(read("ipv4/conf/LINK/rp_filter"), "0");
    assert_eq!(read("ipv4/conf/LINK/forwarding"), "1");
    assert_eq!(read("ipv4/conf/LINK/send_redirects"), "0");
    assert_eq!(read("ipv4/conf/LINK/proxy_arp"), "0");
    assert_eq!(read("ipv6/conf/LINK/accept_ra"), "0");
    assert_eq!(read("ipv6/conf/LINK/forwarding"), "1");
    assert_eq!(sh(&pod, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim(), "0");
    assert!(node.sh("ip route show proto 102").contains("10.244.0.5"));
    assert!(sh(&pod, "ip link show lo").contains("UP"));
}

#[tokio::test]
async fn attaching_twice_changes_nothing() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let spec = spec("t", &["10.244.0.5", "fd00::5"]);
    let first = node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    let before = (picture(&node.netns), picture(&pod));
    node.link.check_pod(pod.as_fd(), &spec).await.unwrap();
    let second = node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    assert_eq!(first, second);
    assert_eq!((picture(&node.netns), picture(&pod)), before);
}

#[tokio::test]
async fn whatever_is_missing_is_named_by_a_check_and_remade_by_attaching() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let spec = spec("h", &["10.244.0.5", "fd00::5"]);
    node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    node.link.check_pod(pod.as_fd(), &spec).await.unwrap();
    let host = &spec.host_name;
    let on_node = |command: &str| node.sh(command);
    let in_pod = |command: &str| sh(&pod, command);
    type Damage<'a> = (&'a dyn Fn(&str) -> String, String, &'a str);
    let damages: [Damage<'_>; 13] = [
        (&in_pod, "ip addr del 10.244.0.5/32 dev eth0".into(), "eth0 lacks address 10.244.0.5"),
        (&in_pod, "ip -6 addr del fd00::5/128 dev eth0".into(), "eth0 lacks address fd00::5"),
        (&in_pod, "ip addr add 10.9.9.9/32 dev eth0".into(), "10.9.9.9/32 that is not"),
        (&in_pod, "ip route del default".into(), "no default route by 169.254.1.1"),
        (&in_pod, "ip -6 route del default".into(), "no default route by fe80::1"),
        (&in_pod, "ip neigh flush nud permanent dev eth0".into(), "neighbour 169.254.1.1"),
        (&in_pod, "ip link set eth0 down".into(), "eth0 is down"),
        (&in_pod, "ip link set eth0 mtu 1400".into(), "eth0 has MTU 1400"),
        (&in_pod, "ip link set eth0 name eth7".into(), "the pod has no interface eth0"),
        (&on_node, format!("ip route del 10.244.0.5 dev {host}"), "no route to 10.244.0.5"),
        (&on_node, format!("ip -6 neigh del fd00::5 dev {host}"), "no permanent neighbour fd00::5"),
        (&on_node, format!("ip link set {host} down"), "is down"),
        (&on_node, format!("ip link del {host}"), "the node has no link"),
    ];
    for (run, command, says) in damages {
        run(&command);
        let error = node.link.check_pod(pod.as_fd(), &spec).await.unwrap_err();
        assert!(error.to_string().contains(says), "{command}: {error}");
        node.link.attach_pod(pod.as_fd(), &spec).await.expect(&command);
        node.link.check_pod(pod.as_fd(), &spec).await.expect(&command);
    }
}

#[tokio::test]
async fn a_link_left_by_half_an_attach_is_remade() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let spec = spec("half", &["10.244.0.5"]);
    // The pair was made, but not yet configured; its peer never reached the pod.
    node.sh(&format!("ip link add {} type veth peer name tmp0", spec.host_name));
    node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    node.link.check_pod(pod.as_fd(), &spec).await.unwrap();
    assert!(!node.sh("ip link").contains("tmp0"));
}

#[tokio::test]
async fn new_addresses_replace_the_old_ones() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    node.link.attach_pod(pod.as_fd(), &spec("n", &["10.244.0.5"])).await.unwrap();
    node.link.attach_pod(pod.as_fd(), &spec("n", &["10.244.0.6"])).await.unwrap();
    assert!(!node.sh("ip route").contains("10.244.0.5"));
    assert!(!sh(&pod, "ip addr").contains("10.244.0.5"));
    assert!(sh(&pod, "ip addr").contains("10.244.0.6"));
}

#[tokio::test]
async fn another_interface_of_the_same_name_is_an_error_and_stays() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    sh(&pod, "ip link add eth0 type veth peer name other");
    let spec = spec("c", &["10.244.0.5"]);
    let error = node.link.attach_pod(pod.as_fd(), &spec).await.unwrap_err();
    assert!(matches!(error, Error::NameTaken { .. }), "{error}");
    assert!(error.to_string().starts_with("container already has eth0"), "{error}");
    assert!(sh(&pod, "ip link").contains("eth0@other"));
    assert!(node.link.pod_links().await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_stays_of_an_attach_that_fails_half_way() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let before = (picture(&node.netns), picture(&pod));
    // The kernel takes the link but not the second address: it is a multicast one.
    let error = node
        .link
        .attach_pod(pod.as_fd(), &spec("f", &["10.244.0.5", "ff02::5"]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("add address ff02::5 to eth0"), "{error}");
    // The pod's lo is up now, which is no part of the link.
    assert_eq!(picture(&node.netns), before.0);
    assert!(!sh(&pod, "ip link").contains("eth0"));
}

#[tokio::test]
async fn a_node_with_ipv6_turned_off_serves_ipv4_pods_and_says_why_no_others() {
    let Some(node) = node() else { return };
    node.sh("for n in all default; do echo 1 > /proc/sys/net/ipv6/conf/$n/disable_ipv6; done");
    node.link.prepare_host().await.unwrap();
    let (one, two) = (Netns::unnamed().unwrap(), Netns::unnamed().unwrap());
    let v4 = spec("4", &["10.244.0.4"]);
    node.link.attach_pod(one.as_fd(), &v4).await.unwrap();
    let error = node.link.attach_pod(two.as_fd(), &spec("6", &["fd00::6"])).await.unwrap_err();
    assert!(error.to_string().contains("IPv6 is disabled"), "{error}");
    assert_eq!(node.link.pod_links().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_nodes_own_namespace_and_other_files_are_refused() {
    let Some(node) = node() else { return };
    let error = node.link.attach_pod(node.netns.as_fd(), &spec("o", &["10.244.0.5"])).await;
    assert!(matches!(error, Err(Error::HostNamespace)), "{error:?}");
    let file = std::fs::File::open("/proc/self/status").unwrap();
    let error = node.link.attach_pod(file.as_fd(), &spec("o", &["10.244.0.5"])).await.unwrap_err();
    assert!(error.to_string().contains("enter the network namespace"), "{error}");
}

#[tokio::test]
async fn detaching_is_done_when_there_is_nothing_left() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let spec = spec("d", &["10.244.0.5", "fd00::5"]);
    let before = picture(&node.netns);
    node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    assert_eq!(node.link.pod_links().await.unwrap()[0].name, spec.host_name);
    node.link.detach_pod(&spec.host_name).await.unwrap();
    assert_eq!(picture(&node.netns), before);
    assert!(!sh(&pod, "ip link").contains("eth0"));
    node.link.detach_pod(&spec.host_name).await.unwrap();
    node.link.detach_pod("fl00000000000").await.unwrap();
}

#[tokio::test]
async fn a_link_goes_with_its_pods_namespace_and_can_be_detached_all_the_same() {
    let Some(node) = node() else { return };
    let spec = spec("g", &["10.244.0.5"]);
    let pod = Netns::unnamed().unwrap();
    node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
    drop(pod);
    node.link.detach_pod(&spec.host_name).await.unwrap();
    eventually("the link is gone", || !node.sh("ip link").contains(&spec.host_name));
    let again = Netns::unnamed().unwrap();
    node.link.attach_pod(again.as_fd(), &spec).await.unwrap();
}

#[tokio::test]
async fn many_pods_come_at_the_same_time() {
    let Some(node) = node() else { return };
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..20 {
        let link = node.link.clone();
        tasks.spawn(async move {
            let pod = Netns::unnamed().unwrap();
            let (v4, v6) = (format!("10.244.0.{index}"), format!("fd00::{index}"));
            let spec = spec(&index.to_string(), &[&v4, &v6]);
            link.attach_pod(pod.as_fd(), &spec).await.unwrap();
            link.check_pod(pod.as_fd(), &spec).await.unwrap();
            pod
        });
    }
    let pods: Vec<Netns> = tasks.join_all().await;
    assert_eq!((pods.len(), node.link.pod_links().await.unwrap().len()), (20, 20));
}
