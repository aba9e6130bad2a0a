use std::time::Duration;

use super::*;

fn ranges(cidrs: &[&str], seed: u64) -> Ranges {
    let cidrs: Vec<IpNet> = cidrs.iter().map(|c| c.parse().unwrap()).collect();
    Ranges::new(&cidrs, seed).unwrap()
}

fn given(ranges: &mut Ranges, now: Instant) -> Vec<String> {
    ranges.allocate(now).unwrap().iter().map(|ip| ip.to_string()).collect()
}

#[test]
fn the_networks_the_nodes_and_the_broadcast_address_are_never_given() {
    let now = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/29"], 0);
    let all: Vec<String> = (0..5).flat_map(|_| given(&mut ranges, now)).collect();
    assert_eq!(all, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    let error = ranges.allocate(now).unwrap_err().to_string();
    assert!(error.contains("10.0.0.0/29: 5 of 5 are in use"), "{error}");
}

#[test]
fn an_ipv6_range_of_64_bits_costs_nothing_and_uses_its_last_address() {
    let now = Instant::now();
    let mut ranges = ranges(&["fd00::/64"], 0);
    ranges.resume_after("fd00::ffff:ffff:ffff:fffe".parse().unwrap());
    assert_eq!(given(&mut ranges, now), ["fd00::ffff:ffff:ffff:ffff"]);
    assert_eq!(given(&mut ranges, now), ["fd00::2"]);
    assert_eq!(ranges.usage()[0].usable, (1 << 64) - 2);
}

#[test]
fn an_address_is_not_given_again_before_all_others_were() {
    let now = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/29"], 0);
    for expected in ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"] {
        assert_eq!(given(&mut ranges, now), [expected]);
        ranges.release(expected.parse().unwrap(), now);
    }
}

#[test]
fn a_resting_address_is_passed_over_until_its_time_is_over_or_nothing_else_is_free() {
    let start = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/29"], 0);
    for _ in 0..5 {
        given(&mut ranges, start);
    }
    ranges.release("10.0.0.2".parse().unwrap(), start);
    ranges.release("10.0.0.4".parse().unwrap(), start + Duration::from_secs(20));
    let now = start + Duration::from_secs(31);
    ranges.resume_after("10.0.0.3".parse().unwrap());
    assert_eq!(given(&mut ranges, now), ["10.0.0.2"], "it rested; .4, which is next, did not");
    assert_eq!(given(&mut ranges, now), ["10.0.0.4"], "nothing else is free");
    assert!(ranges.allocate(now).is_err());
}

#[test]
fn of_resting_addresses_the_longest_resting_is_given_first() {
    let now = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/30", "10.0.1.0/30"], 0);
    given(&mut ranges, now);
    given(&mut ranges, now);
    ranges.release("10.0.1.2".parse().unwrap(), now);
    ranges.release("10.0.0.2".parse().unwrap(), now + Duration::from_secs(1));
    assert_eq!(given(&mut ranges, now + Duration::from_secs(2)), ["10.0.1.2"]);
}

#[test]
fn a_pod_gets_both_families_or_none() {
    let now = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/24", "fd00::/126"], 0);
    assert_eq!(given(&mut ranges, now), ["10.0.0.2", "fd00::2"]);
    assert_eq!(given(&mut ranges, now), ["10.0.0.3", "fd00::3"]);
    let error = ranges.allocate(now).unwrap_err().to_string();
    assert!(error.contains("fd00::/126: 2 of 2"), "{error}");
    assert_eq!(ranges.usage()[0].in_use, 2, "no IPv4 address leaked");
}

#[test]
fn without_a_cidr_the_error_says_where_cidrs_come_from() {
    let error = ranges(&[], 0).allocate(Instant::now()).unwrap_err().to_string();
    assert!(error.contains("--allocate-node-cidrs"), "{error}");
}

#[test]
fn the_seed_moves_the_start_within_the_range() {
    let now = Instant::now();
    for seed in [1, 4, 5, u64::MAX] {
        let mut ranges = ranges(&["10.0.0.0/29"], seed);
        assert_eq!(given(&mut ranges, now), [format!("10.0.0.{}", 2 + seed % 5)]);
    }
}

#[test]
fn a_second_range_is_used_when_the_first_is_full_and_survives_a_change() {
    let now = Instant::now();
    let mut ranges = ranges(&["10.0.0.0/30"], 0);
    assert_eq!(given(&mut ranges, now), ["10.0.0.2"]);
    assert!(ranges.allocate(now).is_err());
    let grown = ["10.0.0.0/30", "10.0.1.0/29"].map(|c| c.parse().unwrap());
    ranges.replace(&grown).unwrap();
    assert_eq!(given(&mut ranges, now), ["10.0.1.2"]);
    ranges.release("10.0.0.2".parse().unwrap(), now);
    assert_eq!(given(&mut ranges, now), ["10.0.1.3"], "10.0.0.2 rests");
}
