use super::*;

fn node(name: &str, ips: &[&str], cidrs: &[&str]) -> Node {
    Node {
        name: name.into(),
        internal_ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        external_ips: vec![],
        pod_cidrs: cidrs.iter().map(|c| c.parse().unwrap()).collect(),
    }
}

fn device(ifindex: u32, name: &str, mtu: u32, addresses: &[&str]) -> Device {
    Device {
        ifindex,
        name: name.into(),
        mac: Some([2, 0, 0, 0, 0, ifindex as u8]),
        mtu,
        up: true,
        kind: None,
        master: None,
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

struct Case {
    me: Node,
    nodes: BTreeMap<String, Node>,
    devices: Vec<Device>,
    named: Vec<String>,
}

impl Case {
    fn new(peers: &[Node]) -> Self {
        let me = node("n1", &["192.0.2.1", "2001:db8::1"], &["10.244.1.0/24", "fd00:244:1::/64"]);
        let nodes = peers.iter().chain([&me]).map(|n| (n.name.clone(), n.clone())).collect();
        let devices = vec![
            device(1, "lo", 65536, &[]),
            device(2, "eth0", 1500, &["192.0.2.1/24", "2001:db8::1/64"]),
            Device {
                kind: Some("bridge".into()),
                ..device(3, "docker0", 1400, &["172.17.0.1/16"])
            },
        ];
        Case { me, nodes, devices, named: Vec::new() }
    }

    fn plan(&self, change: impl Fn(&mut Input<'_>)) -> Plan {
        let mut input = Input {
            me: &self.me,
            nodes: &self.nodes,
            devices: &self.devices,
            default_devices: &[2],
            named_devices: &self.named,
            tunnel: None,
            routing: Routing::Auto,
            masquerade: Masquerade::default(),
            mtu: 0,
        };
        change(&mut input);
        plan(&input)
    }
}

fn row(plan: &Plan, net: &str) -> (u8, u32, String) {
    let row = plan.rows[&NodeKey::new(net.parse().unwrap())];
    (row.way, row.ifindex, Addr(row.next_hop).to_string())
}

#[test]
fn a_node_on_our_network_is_reached_directly_in_both_families() {
    let n2 = node("n2", &["192.0.2.2", "2001:db8::2"], &["10.244.2.0/24", "fd00:244:2::/64"]);
    let plan = Case::new(&[n2]).plan(|_| ());
    assert_eq!(row(&plan, "10.244.2.0/24"), (Way::Direct as u8, 2, "192.0.2.2".into()));
    assert_eq!(row(&plan, "fd00:244:2::/64"), (Way::Direct as u8, 2, "2001:db8::2".into()));
    assert_eq!(row(&plan, "192.0.2.2/32"), (Way::Direct as u8, 2, "192.0.2.2".into()));
    assert_eq!(plan.mtu, 1500);
    // the other side may use it
    assert_eq!(plan.tunnel_mtu, Some(1450));
    assert_eq!(plan.routes.len(), 2);
    assert_eq!(plan.routes[0].source, Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn a_node_behind_a_router_is_reached_by_the_tunnel_and_lowers_the_mtu() {
    let n2 = node("n2", &["198.51.100.2"], &["10.244.2.0/24", "fd00:244:2::/64"]);
    let case = Case::new(&[n2]);
    assert_eq!(case.plan(|_| ()).tunnel_mtu, Some(1450));
    let plan = case.plan(|i| i.tunnel = Some(9));
    assert_eq!(row(&plan, "10.244.2.0/24"), (Way::Vxlan as u8, 9, "198.51.100.2".into()));
    // IPv6 pods cross an IPv4 network inside the tunnel
    assert_eq!(row(&plan, "fd00:244:2::/64"), (Way::Vxlan as u8, 9, "198.51.100.2".into()));
    assert_eq!(row(&plan, "198.51.100.2/32"), (Way::Vxlan as u8, 9, "198.51.100.2".into()));
    assert_eq!(plan.mtu, 1450);
    assert_eq!(plan.routes[0].via, None);
}

#[test]
fn each_pair_is_decided_for_itself() {
    let near = node("n2", &["192.0.2.2"], &["10.244.2.0/24"]);
    let far = node("n3", &["198.51.100.3"], &["10.244.3.0/24"]);
    let plan = Case::new(&[near, far]).plan(|i| i.tunnel = Some(9));
    assert_eq!(row(&plan, "10.244.2.0/24").0, Way::Direct as u8);
    assert_eq!(row(&plan, "10.244.3.0/24").0, Way::Vxlan as u8);
    let ways: Vec<_> = plan.peers.iter().map(|p| p.way.as_str()).collect();
    assert_eq!(ways, ["direct", "vxlan"]);
    assert_eq!(plan.mtu, 1450, "one MTU for all: the least");
}

#[test]
fn a_tunnel_over_ipv6_costs_twenty_bytes_more() {
    let mut case = Case::new(&[node("n2", &["2001:db8:1::2"], &["fd00:244:2::/64"])]);
    case.me.internal_ips.retain(IpAddr::is_ipv6);
    let plan = case.plan(|i| i.tunnel = Some(9));
    assert_eq!(plan.mtu, 1430);
}

#[test]
fn without_the_tunnel_a_far_node_is_left_to_the_network_between() {
    let far = node("n2", &["198.51.100.2"], &["10.244.2.0/24"]);
    let plan = Case::new(&[far]).plan(|i| i.routing = Routing::Direct);
    assert_eq!(row(&plan, "10.244.2.0/24").0, Way::Kernel as u8);
    assert!(plan.routes.is_empty());
    assert_eq!(plan.peers[0].way, "routed");
}

#[test]
fn every_device_that_leads_somewhere_masquerades_by_its_own_addresses() {
    let mut case = Case::new(&[]);
    case.devices.push(device(4, "eth1", 9000, &["203.0.113.7/24"]));
    let names = |plan: &Plan| plan.uplinks.iter().map(|u| u.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&case.plan(|_| ())), ["eth0", "docker0", "eth1"]);
    assert_eq!(case.plan(|_| ()).mtu, 1500, "other networks do not decide it");
    case.named = vec!["eth1".to_owned()];
    let plan = case.plan(|_| ());
    assert_eq!(names(&plan), ["eth1"]);
    assert_eq!(Addr(plan.uplinks[0].row.v4).to_string(), "203.0.113.7");
    assert_eq!(plan.uplinks[0].row.v6, [0; 16]);
    assert_eq!(plan.mtu, 9000);
    case.named.clear();
    let off = case.plan(|i| i.masquerade.ipv4 = false);
    assert_eq!(off.uplinks[0].row.v4, [0; 16]);
}

#[test]
fn a_pod_cidr_that_two_nodes_have_is_a_problem_of_the_second() {
    let n2 = node("n2", &["192.0.2.2"], &["10.244.1.0/24"]);
    let plan = Case::new(&[n2]).plan(|_| ());
    assert!(plan.peers[0].problem.as_ref().unwrap().contains("node n1"));
    assert!(!plan.rows.contains_key(&NodeKey::new("10.244.1.0/24".parse().unwrap())));
}

#[test]
fn an_external_address_of_a_node_is_the_outsides() {
    let mut n2 = node("n2", &["192.0.2.2"], &["10.244.2.0/24"]);
    n2.external_ips = vec!["203.0.113.9".parse().unwrap()];
    let plan = Case::new(&[n2]).plan(|_| ());
    assert!(!plan.rows.contains_key(&NodeKey::new("203.0.113.9/32".parse().unwrap())));
}

#[test]
fn a_node_whose_pods_are_not_reached_is_not_of_the_cluster() {
    let plan = Case::new(&[node("virtual", &["198.51.100.7"], &[])]).plan(|i| i.tunnel = Some(9));
    assert!(plan.rows.is_empty());
}

#[test]
fn a_node_behind_a_bridge_of_containers_is_not_on_our_network() {
    let n2 = node("n2", &["172.17.0.9"], &["10.244.2.0/24"]);
    assert_eq!(Case::new(&[n2]).plan(|_| ()).peers[0].way, "vxlan");
}

#[test]
fn each_family_of_a_peer_goes_its_own_way() {
    let n2 = node("n2", &["192.0.2.2", "2001:db8:9::2"], &["10.244.2.0/24", "fd00:244:2::/64"]);
    let plan = Case::new(&[n2]).plan(|i| i.tunnel = Some(9));
    assert_eq!(row(&plan, "10.244.2.0/24").0, Way::Direct as u8);
    assert_eq!(row(&plan, "192.0.2.2/32").0, Way::Direct as u8);
    assert_eq!(row(&plan, "fd00:244:2::/64").0, Way::Vxlan as u8);
    assert_eq!(plan.peers[0].way, "direct+vxlan");
    assert_eq!(plan.peers[0].address, Some("192.0.2.2".parse().unwrap()));
}
