//! How long ADD and DEL take, the plugin's process included, as a runtime sees it.

use std::time::{Duration, Instant};

use fairlead_tests::{Cni, Host, LabError, Node, Sandbox};
use serde_json::json;

use crate::topology::{PLUGINS, Topologies};

/// Between the requests for two pods, where they don't come in a row: other work of a node (an
/// image, a sandbox, a container) takes at least that long.
const PAUSE: Duration = Duration::from_millis(50);

/// A plugin's latencies, one a pod.
pub struct Latencies {
    pub plugin: &'static str,
    /// Between two requests; none where all pods are added in a row, then deleted in a row.
    pub pause: Duration,
    pub add: Vec<Duration>,
    pub del: Vec<Duration>,
}

/// The `bridge` plugin with `host-local` on `node`, without masquerade.
pub fn bridge(node: &Node) -> Cni {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "peer",
        "plugins": [{
            "type": "bridge",
            "bridge": "peer0",
            "isGateway": true,
            "mtu": 1500,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.88.0.0/16"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/host-local",
            },
        }],
    });
    Cni::new(node.place().clone(), PLUGINS, list)
}

/// Adds and deletes `count` pods with every plugin that is there.
pub fn latencies(topologies: &Topologies, count: usize) -> Result<Vec<Latencies>, LabError> {
    let mut peers: Vec<(&'static str, Cni, &Node)> = Vec::new();
    if std::path::Path::new(PLUGINS).join("bridge").exists() {
        let node = topologies.plain().node(2);
        peers.push(("bridge with host-local", bridge(node), node));
    }
    if let Some(lab) = topologies.fairlead() {
        peers.push(("fairlead", lab.node(1).cni()?, lab.node(1)));
    }
    let mut all = Vec::new();
    for (plugin, cni, node) in &peers {
        all.push(in_a_row(plugin, cni, node, count)?);
    }
    all.extend(in_turn(&peers, count)?);
    Ok(all)
}

/// All pods at once, as when a node comes up.
fn in_a_row(
    plugin: &'static str,
    cni: &Cni,
    node: &Node,
    count: usize,
) -> Result<Latencies, LabError> {
    let mut latencies = empty(plugin, Duration::ZERO);
    let mut pods = Vec::new();
    let sandboxes = (0..count).map(|_| Sandbox::new(node)).collect::<Result<Vec<_>, _>>()?;
    for (number, sandbox) in sandboxes.iter().enumerate() {
        let attachment = sandbox.attachment(&format!("row-{number}"));
        let result = timed(&mut latencies.add, || cni.add(&attachment))?;
        pods.push((attachment, result));
    }
    for (attachment, result) in &pods {
        timed(&mut latencies.del, || cni.del(attachment, result))?;
    }
    Ok(latencies)
}

/// One pod at a time, and the plugins in turn.
fn in_turn(peers: &[(&'static str, Cni, &Node)], count: usize) -> Result<Vec<Latencies>, LabError> {
    let mut all: Vec<_> = peers.iter().map(|(plugin, ..)| empty(plugin, PAUSE)).collect();
    for number in 0..count {
        for ((_, cni, node), latencies) in peers.iter().zip(&mut all) {
            let sandbox = Sandbox::new(node)?;
            let attachment = sandbox.attachment(&format!("turn-{number}"));
            std::thread::sleep(PAUSE);
            let result = timed(&mut latencies.add, || cni.add(&attachment))?;
            std::thread::sleep(PAUSE);
            timed(&mut latencies.del, || cni.del(&attachment, &result))?;
        }
    }
    Ok(all)
}

fn timed<T>(to: &mut Vec<Duration>, call: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = call();
    to.push(begin.elapsed());
    result
}

fn empty(plugin: &'static str, pause: Duration) -> Latencies {
    Latencies { plugin, pause, add: Vec::new(), del: Vec::new() }
}
