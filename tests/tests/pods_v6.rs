//! A cluster of IPv6 alone.

mod checks;

use fairlead_tests::{Family, Lab, LabSpec, Shared};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 2, family: Family::V6, ..LabSpec::default() })
});

#[test]
fn pods_of_one_node_reach_each_other() {
    let Some(lab) = LAB.enter() else { return };
    checks::pods_of_one_node(&lab);
}

#[test]
fn pods_of_two_nodes_reach_each_other() {
    let Some(lab) = LAB.enter() else { return };
    checks::pods_of_two_nodes(&lab);
}

#[test]
fn the_outside_sees_the_nodes_address() {
    let Some(lab) = LAB.enter() else { return };
    checks::masquerade(&lab);
}
