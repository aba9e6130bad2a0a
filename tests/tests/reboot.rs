//! A node loses its power: what its agent derives again is enough.

mod checks;

use std::time::Duration;

use fairlead_tests::{Family, Lab, LabSpec, agent_binary, eventually, missing, skip};

#[test]
fn a_node_that_was_rebooted_gets_its_network_back() {
    if let Some(why) = missing().or_else(|| agent_binary().err().map(|e| e.to_string())) {
        return skip(&why);
    }
    let spec = LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() };
    let mut lab = Lab::with_agents(spec).unwrap();
    // Nobody deletes a pod of a node that loses its power.
    std::mem::forget(lab.node(1).add_pod("before").unwrap());
    lab.reboot(1).unwrap();
    let serves = |lab: &Lab| {
        let cni = lab.node(1).cni().expect("the runtime's configuration is on the disk");
        cni.in_version("1.1.0").status().is_ok()
    };
    assert!(!serves(&lab), "no agent runs yet");
    lab.node(1).start_agent().unwrap();
    assert!(eventually(Duration::from_secs(10), || serves(&lab)), "{}", lab.logs());
    checks::pods_of_one_node(&lab);
    checks::pods_of_two_nodes(&lab);
}
