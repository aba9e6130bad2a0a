//! `fairlead cleanup` takes everything off the node.

use fairlead_tests::{Family, Lab, LabSpec, Shared};

static LAB: Shared =
    Shared::new(|| Lab::new(LabSpec { nodes: 2, family: Family::Dual, ..LabSpec::default() }));

#[test]
fn cleanup_gives_the_node_back_as_it_was() {
    let Some(lab) = LAB.enter() else { return };
    let node = lab.node(1);
    let before = node.kernel_state();
    for node in lab.nodes() {
        node.start_agent().unwrap();
    }
    for node in lab.nodes() {
        node.wait_ready(std::time::Duration::from_secs(20)).unwrap();
    }
    let pod = node.add_pod("left").unwrap();
    node.stop_agent();
    assert_ne!(node.kernel_state(), before, "pods stay when only the agent ends");
    let config = node.config_path();
    let output = node.fairlead(&["cleanup", "--config", config.to_str().unwrap()]).unwrap();
    assert!(output.ok(), "{output:?}");
    assert_eq!(node.kernel_state(), before);
    assert!(!node.path("/etc/cni/net.d/05-fairlead.conflist").exists());
    // The directory may be a mount point of the container that cleans up.
    assert_eq!(std::fs::read_dir(node.path("/run/fairlead")).map_or(0, Iterator::count), 0);
    assert!(pod.delete().is_err(), "there is no configuration left to delete with");
}
