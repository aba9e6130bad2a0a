//! The manifest goes and comes back; then everything goes.

use std::time::Duration;

use crate::agents;
use crate::cluster::{Cluster, PATIENCE};
use crate::command::{holds, within};
use crate::installing;
use crate::paths;
use crate::pods;
use crate::streams::Streams;
use crate::turn::say;

/// Nodes go on forwarding without Fairlead's objects; names end with the agents, which answer them.
pub fn manifest(cluster: &Cluster) {
    let pods = pods::all_ready(cluster);
    let streams = Streams::start(cluster);
    cluster.feed("delete --wait=false", &cluster.manifest()).must();
    let applied = AppliedAgain(cluster);
    for node in cluster.nodes() {
        within(PATIENCE, &format!("no agent runs on {node}"), || {
            holds(agents::pid(cluster, &node).is_none(), || "one does".into())
        });
    }
    let client = &pods::named(&pods, "a-n1").place;
    let said = client.run("dig +time=1 +tries=1 echo.default.svc.cluster.local A");
    assert!(!said.ok(), "who answers? {}", said.whole());
    paths::all_directions(cluster);
    paths::services(cluster);

    drop(applied);
    installing::programs_run(cluster);
    installing::everything_ready(cluster, PATIENCE);
    agents::all_well(cluster);
    streams.unharmed();
    crate::names::all(cluster);
    cluster.kubectl("delete pod b-n1 --timeout=90s").must();
    pods::start(cluster);
    paths::services(cluster);
}

/// Applies the manifest, for the scenarios after this one also when this one failed.
struct AppliedAgain<'c>(&'c Cluster);

impl Drop for AppliedAgain<'_> {
    fn drop(&mut self) {
        let said = self.0.feed("apply", &self.0.manifest());
        if !said.ok() {
            say(&said.whole());
        }
    }
}

/// What may not be left on a node; prints what is.
const LEFT: &str = "\
ip -o link | grep -E ': (fl[0-9a-f]{11}|fairlead_vxlan)[@:]'
ip route show table all proto 102
ip -6 route show table all proto 102
ip -o addr show dev lo scope global
ls -d /sys/fs/bpf/fairlead /sys/fs/bpf/fairlead* /opt/cni/bin/fairlead-cni 2>/dev/null
ls -A /etc/cni/net.d | grep fairlead
ls -A /run/fairlead 2>/dev/null
pgrep -af '^/fairlead '
true";

const KINDS: &str = "daemonsets,deployments,pods,configmaps,services,serviceaccounts,roles,\
                     rolebindings,clusterroles,clusterrolebindings";

pub fn uninstall(cluster: &Cluster) {
    let line = "-n kube-system exec deploy/fairlead-controller -- fairlead uninstall --yes";
    let said = cluster.kubectl(line);
    assert!(said.ok(), "{}", said.whole());
    within(PATIENCE, "no object is left", || {
        let labelled = format!("get {KINDS} -A -l app.kubernetes.io/name=fairlead -o name");
        let named = format!("get {KINDS},leases -n kube-system -o name");
        let mut left = cluster.kubectl(&labelled).must();
        let named = cluster.kubectl(&named).must();
        let ours = |line: &&str| line.contains("fairlead") || line.ends_with("/kube-dns");
        left.extend(named.lines().filter(ours).flat_map(|line| ["\n", line]));
        holds(left.trim().is_empty(), || left.clone())
    });
    for node in cluster.nodes() {
        within(Duration::from_secs(30), &format!("nothing is left on {node}"), || {
            let left = cluster.on_node(&node).sh(LEFT).must();
            holds(left.is_empty(), || left.clone())
        });
    }
    within(PATIENCE, "nodes wait for a network again", || {
        let nodes = cluster.list("nodes");
        holds(!nodes.iter().any(installing::is_ready), || "some are Ready".into())
    });
}
