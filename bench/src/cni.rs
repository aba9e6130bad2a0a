//! How long ADD and DEL take, the plugin's process included, as a runtime sees it.

use std::time::{Duration, Instant};

use fairlead_tests::{Cni, Host, LabError, Node, Sandbox};
use serde_json::json;

use crate::topology::{PLUGINS, Topologies};

/// A plugin's latencies, one a pod.
pub struct Latencies {
    pub plugin: &'static str,
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

/// Adds and deletes `count` pods with every plugin that is there, in turn.
pub fn latencies(topologies: &Topologies, count: usize) -> Result<Vec<Latencies>, LabError> {
    let mut peers: Vec<(Cni, &Node, Latencies)> = Vec::new();
    if std::path::Path::new(PLUGINS).join("bridge").exists() {
        let node = topologies.plain().node(2);
        peers.push((bridge(node), node, empty("bridge with host-local")));
    }
    if let Some(lab) = topologies.fairlead() {
        peers.push((lab.node(1).cni()?, lab.node(1), empty("fairlead")));
    }
    for number in 0..count {
        for (cni, node, latencies) in &mut peers {
            one_pod(cni, node, number, latencies)?;
        }
    }
    Ok(peers.into_iter().map(|(_, _, latencies)| latencies).collect())
}

fn one_pod(cni: &Cni, node: &Node, number: usize, to: &mut Latencies) -> Result<(), LabError> {
    let sandbox = Sandbox::new(node)?;
    let attachment = sandbox.attachment(&format!("latency-{number}"));
    let begin = Instant::now();
    let result = cni.add(&attachment)?;
    to.add.push(begin.elapsed());
    let begin = Instant::now();
    cni.del(&attachment, &result)?;
    to.del.push(begin.elapsed());
    Ok(())
}

fn empty(plugin: &'static str) -> Latencies {
    Latencies { plugin, add: Vec::new(), del: Vec::new() }
}
