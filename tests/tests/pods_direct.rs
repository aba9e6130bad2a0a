//! Pods over a shared link, by direct routes, both families.

mod checks;

use fairlead_tests::{Family, Lab, LabSpec, Routing, Shared, Underlay};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec {
        nodes: 2,
        family: Family::Dual,
        underlay: Underlay::SharedL2,
        routing: Routing::Auto,
        ..LabSpec::default()
    })
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
fn nodes_reach_their_pods_and_pods_reach_nodes() {
    let Some(lab) = LAB.enter() else { return };
    checks::nodes_and_pods(&lab);
}

#[test]
fn a_node_reaches_pods_of_the_other() {
    let Some(lab) = LAB.enter() else { return };
    checks::node_to_far_pod(&lab);
}

#[test]
fn the_outside_sees_the_nodes_address() {
    let Some(lab) = LAB.enter() else { return };
    checks::masquerade(&lab);
}
