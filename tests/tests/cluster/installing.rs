//! From nodes without a network to nodes with one.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{self, Said, holds, within};
use crate::turn::say;

const SECONDS: Duration = Duration::from_secs(60);

pub fn nodes_become_ready(cluster: &Cluster) {
    for node in cluster.list("nodes") {
        assert!(!is_ready(&node), "Ready without a network: {node}");
    }
    let begin = Instant::now();
    cluster.feed("apply", &cluster.manifest()).must();
    everything_ready(cluster, SECONDS);
    say(&format!("      every node Ready after {:.1} s", begin.elapsed().as_secs_f64()));
    programs_run(cluster);
}

/// Waits for every node to be Ready.
#[track_caller]
pub fn everything_ready(cluster: &Cluster, deadline: Duration) {
    within(deadline, "every node is Ready", || {
        let said = cluster.kubectl("get nodes -o json");
        let nodes: Value = serde_json::from_str(&said.out).map_err(|_| said.whole())?;
        let ready = nodes["items"].as_array().into_iter().flatten().filter(|n| is_ready(n)).count();
        holds(ready == cluster.nodes().len(), || format!("{ready} are"))
    });
}

pub fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// One agent a node and one controller, all Running and Ready.
#[track_caller]
pub fn programs_run(cluster: &Cluster) {
    for (app, wanted) in [("fairlead-agent", cluster.nodes().len()), ("fairlead-controller", 1)] {
        within(SECONDS * 2, &format!("{app} runs"), || {
            let pods = cluster.list(&format!("pods -n kube-system -l app={app}"));
            let ready =
                pods.iter().filter(|pod| pod["status"]["phase"] == "Running" && is_ready(pod));
            let ready = ready.count();
            holds(ready == wanted && pods.len() == wanted, || {
                format!("{} pods, {ready} ready, {wanted} wanted", pods.len())
            })
        });
    }
}

/// `fairlead status` by `kubectl exec`, as people type it.
pub fn status_names_the_others(cluster: &Cluster) {
    for agent in cluster.list("pods -n kube-system -l app=fairlead-agent") {
        let node = agent["spec"]["nodeName"].as_str().expect("an agent is on a node");
        let name = agent["metadata"]["name"].as_str().expect("a name");
        within(SECONDS, &format!("the status of {node} is good"), || {
            let said = cluster.kubectl(&format!("exec -n kube-system {name} -- fairlead status"));
            holds(said.ok() && names_the_others(cluster, node, &said), || said.whole())
        });
    }
}

/// A line for each, as in `n2 direct 172.30.0.12     10.244.1.0/24`.
fn names_the_others(cluster: &Cluster, node: &str, said: &Said) -> bool {
    let others = cluster.nodes().into_iter().filter(|other| other != node);
    others.into_iter().all(|other| {
        let addresses = cluster.topology.node_addresses(&other);
        said.out.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let has = |word: &str| words.contains(&word);
            let address = addresses.iter().any(|address| has(&address.to_string()));
            has(&other) && has(cluster.topology.way()) && address
        })
    })
}

/// The smoke test that comes with the cluster. Node ports and host ports are not there yet.
pub fn smoke_test(cluster: &Cluster) {
    let manifest = cluster.script_path("manifests/smoke.yaml");
    cluster.kubectl(&format!("apply -f {manifest}")).must();
    cluster.kubectl("rollout status ds/web --timeout=120s").must();
    let said = {
        let _routes = Routes::to_pods(cluster);
        cluster.script("smoke.sh")
    };
    let lines = |word: &'static str| said.out.lines().filter(move |line| line.starts_with(word));
    let known = |line: &&str| line.contains("NodePort") || line.contains("hostPort");
    assert!(lines("ok").count() > 5 * cluster.nodes().len(), "{}", said.whole());
    let failed: Vec<_> = lines("FAIL").filter(|line| !known(line)).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{}", said.whole());
    cluster.kubectl(&format!("delete -f {manifest}")).must();
}

/// Routes of the machine to pods, by their nodes.
struct Routes(Vec<String>);

impl Routes {
    fn to_pods(cluster: &Cluster) -> Self {
        let mut routes = Vec::new();
        for node in cluster.list("nodes") {
            let name = node["metadata"]["name"].as_str().expect("a name");
            let addresses = cluster.topology.node_addresses(name);
            for cidr in node["spec"]["podCIDRs"].as_array().into_iter().flatten() {
                let cidr = cidr.as_str().expect("a string");
                let via = addresses.iter().find(|a| a.is_ipv6() == cidr.contains(':'));
                let via = via.expect("a node has an address of each family of its pods");
                routes.push(format!("{cidr} via {via}"));
            }
        }
        for route in &routes {
            command::run(command::line(&format!("ip route replace {route}"), SECONDS)).must();
        }
        Self(routes)
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        for route in &self.0 {
            let said = command::run(command::line(&format!("ip route del {route}"), SECONDS));
            if !said.ok() {
                say(&said.whole());
            }
        }
    }
}
