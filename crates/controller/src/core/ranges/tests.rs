use super::*;
use proptest::prelude::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ranges(cidrs: &[&str], v4: u8, v6: u8) -> Ranges {
    Ranges::new(&cidrs.iter().map(|c| net(c)).collect::<Vec<_>>(), v4, v6).unwrap()
}

fn nodes(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<IpNet>> {
    list.iter().map(|(n, has)| ((*n).into(), has.iter().map(|c| net(c)).collect())).collect()
}

#[test]
fn nodes_get_the_lowest_free_ranges_in_the_order_of_their_names() {
    let plan = ranges(&["10.0.0.0/16"], 24, 64).plan(&nodes(&[
        ("c", &[]),
        ("a", &[]),
        ("b", &["10.0.1.0/24"]),
    ]));
    assert_eq!(plan.give["a"], [net("10.0.0.0/24")]);
    assert_eq!(plan.give["c"], [net("10.0.2.0/24")]);
    assert!(plan.full.is_empty() && !plan.give.contains_key("b"));
}

#[test]
fn a_dual_stack_cluster_gives_one_range_a_family_in_the_configured_order() {
    let plan = ranges(&["fd00::/56", "10.0.0.0/16"], 24, 64).plan(&nodes(&[("a", &[])]));
    assert_eq!(plan.give["a"], [net("fd00::/64"), net("10.0.0.0/24")]);
}

#[test]
fn ranges_of_another_size_are_stepped_over() {
    let taken: &[&str] = &["10.0.0.128/25"];
    let plan = ranges(&["10.0.0.0/22"], 24, 64).plan(&nodes(&[
        ("a", &[]),
        ("b", taken),
        ("c", &["10.0.2.0/23"]),
    ]));
    assert_eq!(plan.give["a"], [net("10.0.1.0/24")]);
}

#[test]
fn when_one_family_is_full_a_node_gets_nothing() {
    let plan = ranges(&["10.0.0.0/24", "fd00::/48"], 24, 64).plan(&nodes(&[
        ("a", &[]),
        ("b", &[]),
        ("c", &[]),
    ]));
    assert_eq!(plan.give.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(plan.full, ["b", "c"]);
}

#[test]
fn a_second_range_of_a_family_is_used_when_the_first_is_full() {
    let plan = ranges(&["10.0.0.0/24", "10.9.0.0/23"], 24, 64).plan(&nodes(&[
        ("a", &[]),
        ("b", &[]),
        ("c", &["10.9.0.0/24"]),
    ]));
    assert_eq!(plan.give["b"], [net("10.9.1.0/24")]);
}

#[test]
fn the_last_range_of_all_addresses_can_be_given() {
    let plan = ranges(&["255.255.255.0/24", "ffff:ffff:ffff:ffff::/64"], 24, 64)
        .plan(&nodes(&[("a", &[]), ("b", &[])]));
    assert_eq!(plan.give["a"], [net("255.255.255.0/24"), net("ffff:ffff:ffff:ffff::/64")]);
    assert_eq!(plan.full, ["b"]);
    let one = ranges(&["255.255.255.255/32", "ffff::ffff/128"], 32, 128).plan(&nodes(&[
        ("a", &[]),
        ("b", &[]),
        ("c", &["255.255.255.255/32"]),
    ]));
    assert_eq!((one.give.len(), one.full.len()), (0, 2));
    let all = ranges(&["::/0"], 24, 0).plan(&nodes(&[("a", &[]), ("b", &[])]));
    assert_eq!((all.give["a"].as_slice(), all.full), ([net("::/0")].as_slice(), vec!["b".into()]));
}

/// Nodes of which some have a range of some size, perhaps of elsewhere; never overlapping.
fn some_nodes() -> impl Strategy<Value = BTreeMap<String, Vec<IpNet>>> {
    let has = proptest::option::of((0u32..1 << 12, 22u8..30));
    proptest::collection::vec(has, 0..40).prop_map(|all| {
        let mut taken: Vec<IpNet> = Vec::new();
        let mut nodes = BTreeMap::new();
        for (i, has) in all.into_iter().enumerate() {
            let cidr = has.map(|(offset, size)| {
                let address = Ipv4Addr::from(0x0a00_0000 + offset);
                IpNet::from(Ipv4Net::new(address, size).unwrap()).trunc()
            });
            let cidr = cidr.filter(|c| !taken.iter().any(|t| overlap(t, c)));
            taken.extend(cidr);
            nodes.insert(format!("n{i}"), cidr.into_iter().collect());
        }
        nodes
    })
}

proptest! {
    #[test]
    fn no_address_is_given_to_two_nodes_and_nothing_free_is_left_over(
        nodes in some_nodes(),
        prefix in 20u8..33,
        size in 24u8..33,
    ) {
        prop_assume!(size >= prefix);
        let range = IpNet::from(Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), prefix).unwrap());
        let plan = Ranges::new(&[range], size, 64).unwrap().plan(&nodes);
        let mut after = nodes.clone();
        for (name, given) in &plan.give {
            prop_assert!(nodes[name].is_empty(), "a node's ranges are never changed");
            prop_assert_eq!(given.len(), 1);
            prop_assert!(range.contains(&given[0]) && given[0].prefix_len() == size);
            after.insert(name.clone(), given.clone());
        }
        let all: Vec<IpNet> = after.values().flatten().copied().collect();
        for (i, a) in all.iter().enumerate() {
            prop_assert!(all[..i].iter().all(|b| !overlap(a, b)), "{} is given twice", a);
        }
        // By brute force: every block of the size in the range.
        let free = range.subnets(size).unwrap().filter(|s| !all.iter().any(|a| overlap(a, s))).count();
        let wanting = after.values().filter(|has| has.is_empty()).count();
        prop_assert_eq!(wanting, plan.full.len());
        prop_assert!(wanting == 0 || free == 0, "{} left for {} nodes", free, wanting);
    }

    #[test]
    fn a_second_look_changes_nothing(nodes in some_nodes()) {
        let ranges = ranges(&["10.0.0.0/21"], 24, 64);
        let plan = ranges.plan(&nodes);
        let mut after = nodes;
        after.extend(plan.give);
        let again = ranges.plan(&after);
        prop_assert!(again.give.is_empty());
        prop_assert_eq!(again.full, plan.full);
    }
}
