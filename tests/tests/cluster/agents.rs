//! Agents end, are killed, are replaced and stay away, while their nodes go on.

use std::net::SocketAddr;

use crate::cluster::{Cluster, PATIENCE};
use crate::command::{Said, holds, within};
use crate::paths;
use crate::pods::{self, Pod};
use crate::streams::Streams;

/// 2 GB there and back take seconds.
const LONG: u64 = 2_000_000_000;

/// The process of a node's agent.
pub fn pid(cluster: &Cluster, node: &str) -> Option<u32> {
    cluster.on_node(node).sh("pgrep -f '^/fairlead agent'").out.lines().next()?.parse().ok()
}

/// `fairlead status`, asked on the node: needs no API server.
pub fn status(cluster: &Cluster, node: &str) -> Said {
    let script = "cd /proc/$(pgrep -f '^/fairlead agent' | head -1)/root && ./fairlead status";
    cluster.on_node(node).sh(script)
}

/// Waits until every agent says that all is well.
#[track_caller]
pub fn all_well(cluster: &Cluster) {
    for node in cluster.nodes() {
        within(PATIENCE, &format!("all is well on {node}"), || {
            let said = status(cluster, &node);
            holds(said.ok() && said.out.contains("in sync"), || said.whole())
        });
    }
}

/// Kills a node's agent, and waits for the next one.
#[track_caller]
pub fn kill(cluster: &Cluster, node: &str) {
    let old = pid(cluster, node).unwrap_or_else(|| panic!("no agent on {node}"));
    cluster.on_node(node).run(&format!("kill -9 {old}")).must();
    within(PATIENCE, &format!("{node} has a new agent"), || {
        holds(pid(cluster, node).is_some_and(|new| new != old), || "none".into())?;
        let said = status(cluster, node);
        // 3: nobody answers
        holds(said.code != 3 && said.out.contains("fairlead on node"), || said.whole())
    });
}

pub fn killed(cluster: &Cluster) {
    let streams = Streams::start(cluster);
    let pods = pods::all_ready(cluster);
    let far = pods::named(&pods, "a-n2");
    let target = SocketAddr::new(far.ips[0], pods::PORT);
    let client = &pods::named(&pods, "b-n1").place;
    let mut transfer = client.spawn(&format!("tcp-stream {target} {LONG} --timeout-ms 20000"));
    let before = state(cluster);
    for node in ["n1", "n2"] {
        let old = pid(cluster, node).unwrap_or_else(|| panic!("no agent on {node}"));
        cluster.on_node(node).run(&format!("kill -9 {old}")).must();
        assert!(transfer.still_runs(), "the transfer was over before {node}'s agent was killed");
        within(PATIENCE, &format!("{node} has a new agent"), || {
            holds(pid(cluster, node).is_some_and(|new| new != old), || "none".into())
        });
    }
    let answer = transfer.finish();
    assert_eq!(answer["bytes"], LONG, "{answer}");
    all_well(cluster);
    streams.unharmed();
    assert_eq!(state(cluster), before, "the kernel's state after a restart is another");
}

/// What an agent makes in its node's kernel, where all can see it.
fn state(cluster: &Cluster) -> Vec<String> {
    let script = "ls /sys/fs/bpf/fairlead/*; ip -o link | grep -o 'fl[0-9a-f]*@\\|fairlead_vxlan'; \
                  ip route show proto 102; ip -6 route show proto 102; ip -o addr show lo; \
                  ls /run/fairlead/pods; cat /etc/cni/net.d/*fairlead*";
    cluster.nodes().iter().map(|node| cluster.on_node(node).sh(script).must()).collect()
}

/// A new version begins as a restart of the DaemonSet does.
pub fn replaced(cluster: &Cluster) {
    let before = state(cluster);
    let streams = Streams::start(cluster);
    cluster.kubectl("-n kube-system rollout restart ds/fairlead-agent").must();
    cluster.kubectl("-n kube-system rollout status ds/fairlead-agent --timeout=180s").must();
    all_well(cluster);
    streams.unharmed();
    assert_eq!(state(cluster), before, "the kernel's state after a rollout is another");
}

const LABEL: &str = "fairlead-test-agent";

/// The agent of n2 leaves it by a label; meanwhile a pod is deleted and another waits.
pub fn away(cluster: &Cluster) {
    cluster.kubectl(&format!("label node --all --overwrite {LABEL}=here")).must();
    select(cluster, "add", ",\"value\":\"here\"");
    let pods = pods::all_ready(cluster);
    let gone = pods::named(&pods, "b-n2");
    let link = link_of(cluster, gone);

    cluster.kubectl(&format!("label node n2 {LABEL}-")).must();
    within(PATIENCE, "the agent leaves n2", || {
        holds(pid(cluster, "n2").is_none(), || "it runs".into())
    });
    cluster.kubectl("delete pod b-n2 --timeout=90s").must();
    pods::apply(cluster);
    forwards(&pods);

    cluster.kubectl(&format!("label node n2 {LABEL}=here")).must();
    within(PATIENCE, "n2 has an agent", || holds(pid(cluster, "n2").is_some(), || "none".into()));
    let new = pods::all_ready(cluster);
    let new = &pods::named(&new, "b-n2").ips;
    assert!(!new.iter().any(|ip| gone.ips.contains(ip)), "{new:?} were given anew at once");
    nothing_left(cluster, gone, &link);
    select(cluster, "remove", "");
    cluster.kubectl(&format!("label node --all {LABEL}-")).must();
    paths::services(cluster);
}

/// Between n1 and n2, while n2 has no agent.
fn forwards(pods: &[Pod]) {
    for (client, server) in [("a-n2", "a-n1"), ("a-n1", "a-n2")] {
        let (client, server) = (pods::named(pods, client), pods::named(pods, server));
        for target in server.targets() {
            let answer = client.place.traffic(&format!("tcp-connects {target} 10"));
            assert_eq!(answer["ok"], 10, "{} -> {}: {answer}", client.name, server.name);
        }
    }
}

fn nothing_left(cluster: &Cluster, pod: &Pod, link: &str) {
    let mut script =
        format!("ip -o link | grep {link}; ls /sys/fs/bpf/fairlead/links | grep {link}");
    for ip in &pod.ips {
        script += &format!("; ip -o route show {ip}; grep -l '\"{ip}[\"/]' /run/fairlead/pods/*");
    }
    within(PATIENCE, &format!("nothing of {} is left", pod.name), || {
        let said = cluster.on_node(&pod.node).sh(&script);
        holds(said.out.is_empty(), || said.whole())
    });
}

/// The node's side of a pod's link.
fn link_of(cluster: &Cluster, pod: &Pod) -> String {
    let said = cluster.on_node(&pod.node).run(&format!("ip -o route get {}", pod.ips[0]));
    let words: Vec<_> = said.out.split_whitespace().collect();
    let dev = words.iter().position(|word| *word == "dev").and_then(|at| words.get(at + 1));
    (*dev.unwrap_or_else(|| panic!("{}", said.whole()))).to_owned()
}

/// Changes the label that agents want, and waits for it.
fn select(cluster: &Cluster, op: &str, value: &str) {
    let path = format!("/spec/template/spec/nodeSelector/{LABEL}");
    // kubectl's arguments are split at spaces: none is in here.
    let patch = format!("[{{\"op\":\"{op}\",\"path\":\"{path}\"{value}}}]");
    cluster
        .kubectl(&format!("-n kube-system patch ds/fairlead-agent --type=json -p {patch}"))
        .must();
    cluster.kubectl("-n kube-system rollout status ds/fairlead-agent --timeout=180s").must();
    all_well(cluster);
}
