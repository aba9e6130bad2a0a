//! Fairlead on a real cluster: API server, kubelets and containerd, as the scripts in the folder
//! that FAIRLEAD_CLUSTER names start them. `make test-cluster` runs this.
//!
//! - FAIRLEAD_CLUSTER: the folder of scripts (start-control-plane.sh, start-node.sh, …, down.sh).
//! - FAIRLEAD_IMAGE: the image archive, named as deploy/fairlead.yaml names it:
//!   `cargo xtask image --tag ghcr.io/fairlead/fairlead:0.1.0`.
//! - FAIRLEAD_CLUSTER_ALL=1: every topology, not only those that cover all pairs of choices.
//! - FAIRLEAD_CLUSTER_ONLY=words: only scenarios whose names have them (installation always runs).
//!
//! A topology is one test; its scenarios share one cluster, in the order in which they are written
//! here, and each leaves the cluster as it found it. However a test ends, its cluster goes.

mod agents;
mod api_server;
mod cidrs;
mod cluster;
mod command;
mod installing;
mod names;
mod paths;
mod place;
mod pods;
mod reboot;
mod removal;
mod report;
mod rollout;
mod scripts;
mod streams;
mod topology;
mod turn;

use fairlead_tests::Routing;

use crate::report::Report;
use crate::topology::Topology;
use crate::turn::Turn;

fn whole(topology: Topology) {
    let Some(turn) = Turn::of(&topology) else {
        return;
    };
    let cluster = turn.start();
    let report = Report::on(&cluster);
    report.must("every node is NotReady before and Ready seconds after", || {
        installing::nodes_become_ready(&cluster)
    });
    report.scenario("status names the other nodes and the way", || {
        installing::status_names_the_others(&cluster);
    });
    report.scenario("the cluster's smoke test", || installing::smoke_test(&cluster));
    report.must("the scenarios' pods start", || pods::start(&cluster));
    report.scenario("pods, nodes and the outside in all directions", || {
        paths::all_directions(&cluster);
        paths::outside_sees_the_nodes_address(&cluster);
        paths::services(&cluster);
    });
    report.scenario("names", || names::all(&cluster));
    report.scenario("a rollout under new connections", || rollout::without_a_failure(&cluster));
    report.scenario("agents killed under traffic", || agents::killed(&cluster));
    report.scenario("agents replaced under traffic", || agents::replaced(&cluster));
    report.scenario("a pod deleted while the agent is away", || agents::away(&cluster));
    report.scenario("the API server away", || api_server::away(&cluster));
    report.scenario("a node rebooted", || reboot::comes_back(&cluster));
    report.scenario("the manifest deleted and applied again", || removal::manifest(&cluster));
    report.scenario("everything uninstalled", || removal::uninstall(&cluster));
}

#[test]
fn two_nodes_ipv4_auto() {
    whole(Topology::new(2, false, Routing::Auto));
}

#[test]
fn two_nodes_dual_stack_vxlan() {
    whole(Topology::new(2, true, Routing::Vxlan));
}

#[test]
fn three_nodes_ipv4_vxlan() {
    whole(Topology::new(3, false, Routing::Vxlan));
}

#[test]
fn three_nodes_dual_stack_auto() {
    whole(Topology::new(3, true, Routing::Auto));
}

#[test]
fn two_nodes_ipv4_vxlan() {
    whole(Topology::new(2, false, Routing::Vxlan).only_when_all());
}

#[test]
fn two_nodes_dual_stack_auto() {
    whole(Topology::new(2, true, Routing::Auto).only_when_all());
}

#[test]
fn three_nodes_ipv4_auto() {
    whole(Topology::new(3, false, Routing::Auto).only_when_all());
}

#[test]
fn three_nodes_dual_stack_vxlan() {
    whole(Topology::new(3, true, Routing::Vxlan).only_when_all());
}

#[test]
fn nodes_get_their_cidrs_from_the_controller_where_kubernetes_gives_none() {
    let topology = Topology::new(2, true, Routing::Auto).without_cidrs();
    let Some(turn) = Turn::of(&topology) else {
        return;
    };
    let cluster = turn.start();
    let report = Report::on(&cluster);
    report.must("nodes get CIDRs and become Ready", || cidrs::given(&cluster));
    report.must("the scenarios' pods start", || pods::start(&cluster));
    report.scenario("pods reach each other", || paths::all_directions(&cluster));
}
