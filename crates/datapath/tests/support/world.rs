//! A small node: few addresses, so that generated packets hit the tables.

use std::collections::BTreeMap;

use fairlead_datapath::contract::{self, NodeKey};
use fairlead_model::Addr;
use fairlead_reference::{Config, Endpoint, Gateway, Node, Tables, Uplink, Way};

use super::lab;

pub const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
pub const MISSING_DEVICE: u32 = 9999;

pub fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<std::net::IpAddr>().expect("an address"))
}

/// Devices by name: index.
pub type Devices = BTreeMap<&'static str, u32>;

pub fn make_devices() -> (Devices, BTreeMap<u32, usize>) {
    let (mut devices, mut mtus) = (Devices::new(), BTreeMap::new());
    for (name, mtu) in [
        ("pod1", 1500),
        ("pod2", 1500),
        ("pod3", 1500),
        ("up1", 1500),
        ("up2", 1400),
        ("tun", 1450),
    ] {
        let index = lab::device(name, mtu);
        devices.insert(name, index);
        mtus.insert(index, mtu);
    }
    route();
    (devices, mtus)
}

const ROUTES: [(&str, u32, &str, &str); 3] = [
    ("203.0.113.0", 24, "192.168.0.254", "up1"),
    ("2001:db8::", 32, "fd99::fe", "up1"),
    // not an uplink
    ("203.0.113.8", 32, "10.9.9.9", "tun"),
];

/// The kernel forwards, and has routes to the outside.
fn route() {
    for family in ["ipv4/conf", "ipv6/conf"] {
        std::fs::write(format!("/proc/sys/net/{family}/all/forwarding"), "1").unwrap();
    }
    lab::ip("addr add 192.168.0.1/24 dev up1");
    lab::ip("-6 addr add fd99::1/64 dev up1 nodad");
    for (net, bits, gateway, device) in ROUTES {
        lab::ip(&format!("route add {net}/{bits} via {gateway} dev {device} onlink"));
    }
}

/// Pods' addresses of both families, by pod.
pub fn pod_addrs(pod: usize) -> [Addr; 2] {
    [addr(&format!("10.0.1.{}", pod + 1)), addr(&format!("fd00:1::{}", pod + 1))]
}

pub const SERVICE_V4: &str = "10.96.0.1";
pub const SERVICE_V6: &str = "fd96::1";

/// Addresses that mean something, and some that don't, by family.
pub fn addresses(v4: bool) -> Vec<Addr> {
    let pool: &[&str] = if v4 {
        &[
            "10.0.1.1",
            "10.0.1.2",
            "10.0.1.3",
            "10.0.1.77",
            "10.0.2.5",
            "10.0.2.200",
            "10.0.3.5",
            "10.0.4.5",
            "10.0.5.5",
            "192.168.0.1",
            "192.168.0.2",
            "192.168.7.1",
            "10.96.0.1",
            "10.96.0.2",
            "203.0.113.7",
            "203.0.113.8",
            "224.0.0.1",
            "0.0.0.0",
        ]
    } else {
        &[
            "fd00:1::1",
            "fd00:1::2",
            "fd00:1::3",
            "fd00:1::77",
            "fd00:2::5",
            "fd00:2:0:8::5",
            "fd00:3::5",
            "fd00:4::5",
            "fd00:5::5",
            "fd99::1",
            "fd99::2",
            "fd96::1",
            "fd96::2",
            "2001:db8::7",
            "2001:db8::8",
            "fe80::1",
            "fe80::2",
            "ff02::1",
            "::",
        ]
    };
    pool.iter().map(|text| addr(text)).collect()
}

/// Tables without Services.
pub fn tables(devices: &Devices, mtus: &BTreeMap<u32, usize>, config: Config) -> Tables {
    let mut tables = Tables::new(config);
    tables.mtus = mtus.clone();
    for (i, pod) in PODS.iter().enumerate() {
        for addr in pod_addrs(i) {
            let endpoint = Endpoint {
                ifindex: devices[pod],
                pod_mac: [2, 0, 0, 0, 1, i as u8],
                host_mac: [2, 0, 0, 0, 2, i as u8],
                translated: false,
            };
            tables.endpoints.insert(addr, endpoint);
        }
    }
    let (up1, up2, tun) = (devices["up1"], devices["up2"], devices["tun"]);
    for (net, way, next_hop, ifindex) in [
        ("10.0.1.0/24", Way::Local, "::", 0),
        ("10.0.2.0/24", Way::Direct, "192.168.0.2", up1),
        ("10.0.2.128/25", Way::Vxlan, "192.168.0.9", tun),
        ("10.0.3.0/24", Way::Vxlan, "192.168.0.3", tun),
        ("10.0.4.0/24", Way::Kernel, "::", 0),
        ("10.0.5.0/24", Way::Direct, "192.168.0.5", MISSING_DEVICE),
        ("192.168.0.2/32", Way::Kernel, "::", 0),
        ("fd00:1::/64", Way::Local, "::", 0),
        ("fd00:2::/48", Way::Direct, "fd99::2", up2),
        ("fd00:2:0:8::/64", Way::Vxlan, "192.168.0.9", tun),
        ("fd00:3::/64", Way::Vxlan, "fd99::3", tun),
        ("fd00:4::/64", Way::Kernel, "::", 0),
        ("fd00:5::/64", Way::Direct, "fd99::5", MISSING_DEVICE),
        ("fd99::2/128", Way::Kernel, "::", 0),
    ] {
        let (net, bits) = net.split_once('/').expect("a network");
        let bits: u32 = bits.parse().expect("a length");
        let net = addr(net);
        let bits = if net.is_ipv4() { bits + 96 } else { bits };
        let node = Node { way, next_hop: addr(next_hop), ifindex };
        tables.nodes.insert((net, bits), node);
    }
    for (net, bits, gateway, device) in ROUTES {
        let (net, next_hop) = (addr(net), addr(gateway));
        let bits = if net.is_ipv4() { bits + 96 } else { bits };
        tables.routes.insert((net, bits), Gateway { next_hop, ifindex: devices[device] });
    }
    // neighbours on up1's own networks
    for neighbour in ["192.168.0.2", "fd99::2"].map(addr) {
        tables.routes.insert((neighbour, 128), Gateway { next_hop: neighbour, ifindex: up1 });
    }
    let both = Uplink { v4: Some(addr("192.168.0.1")), v6: Some(addr("fd99::1")) };
    tables.uplinks.insert(up1, both);
    tables.uplinks.insert(up2, Uplink { v4: Some(addr("192.168.7.1")), v6: None });
    tables
}

/// The same as the kernel has it.
pub fn raw_endpoint(endpoint: &Endpoint) -> contract::Endpoint {
    contract::Endpoint {
        ifindex: endpoint.ifindex,
        pod: 1,
        pod_mac: endpoint.pod_mac,
        host_mac: endpoint.host_mac,
        translated: endpoint.translated.into(),
    }
}

pub fn raw_nodes(tables: &Tables) -> BTreeMap<NodeKey, contract::Node> {
    let raw = |node: &Node| contract::Node {
        next_hop: node.next_hop.0,
        ifindex: node.ifindex,
        way: match node.way {
            Way::Local => contract::Way::Local,
            Way::Direct => contract::Way::Direct,
            Way::Vxlan => contract::Way::Vxlan,
            Way::Kernel => contract::Way::Kernel,
        } as u8,
        pad: [0; 3],
    };
    let key = |(addr, bits): &(Addr, u32)| NodeKey { prefix_len: *bits, addr: addr.0 };
    tables.nodes.iter().map(|(k, node)| (key(k), raw(node))).collect()
}

pub fn raw_uplinks(tables: &Tables) -> BTreeMap<u32, contract::Uplink> {
    let raw = |addr: Option<Addr>| addr.unwrap_or_default().0;
    let uplinks = tables.uplinks.iter();
    uplinks.map(|(i, u)| (*i, contract::Uplink { v4: raw(u.v4), v6: raw(u.v6) })).collect()
}
