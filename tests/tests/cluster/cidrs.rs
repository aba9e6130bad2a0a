//! Fairlead's controller gives nodes their pod CIDRs.

use std::collections::BTreeSet;

use crate::agents;
use crate::cluster::{Cluster, PATIENCE};
use crate::installing;

/// The manifest was applied before the nodes, which don't start without CIDRs.
pub fn given(cluster: &Cluster) {
    installing::everything_ready(cluster, PATIENCE);
    installing::programs_run(cluster);
    let mut seen = BTreeSet::new();
    for node in cluster.list("nodes") {
        let cidrs = node["spec"]["podCIDRs"].as_array().cloned().unwrap_or_default();
        let cidrs: Vec<_> = cidrs.iter().filter_map(|cidr| cidr.as_str()).collect();
        let [v4, v6] = cidrs[..] else { panic!("not one of each family: {cidrs:?}") };
        assert!(v4.starts_with("10.244.") && v4.ends_with("/24"), "{v4}");
        assert!(v6.starts_with("fd00:244:") && v6.ends_with("/64"), "{v6}");
        assert!(seen.insert(v4.to_owned()) && seen.insert(v6.to_owned()), "{cidrs:?} twice");
    }
    agents::all_well(cluster);
}
