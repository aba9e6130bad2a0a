//! The API server is away for a while.

use std::net::SocketAddr;

use crate::agents;
use crate::cluster::{Cluster, PATIENCE};
use crate::command::{self, Said, holds, within};
use crate::installing;
use crate::paths;
use crate::place::Place;
use crate::pods::{self, Pod};
use crate::streams::Streams;
use crate::turn::say;

pub fn away(cluster: &Cluster) {
    let pods = pods::all_ready(cluster);
    let services = pods::service_targets(cluster, "echo");
    let streams = Streams::start(cluster);
    stop(cluster);
    let back = Back(cluster);
    for node in cluster.nodes() {
        within(PATIENCE, &format!("{node} says that the API server is away"), || {
            let said = agents::status(cluster, &node);
            holds(said.code == 1 && said.out.contains("DISCONNECTED"), || said.whole())
        });
        let client = &pods::named(&pods, &format!("a-{node}")).place;
        let said = echo_by_name(client);
        assert!(said.ok() && !said.out.is_empty(), "names end with the API: {}", said.whole());
    }
    // What an agent knew is gone with it; what it gave the kernel stays.
    agents::kill(cluster, "n1");
    reaches_all(cluster, &pods, &services);
    drop(back);
    agents::all_well(cluster);
    installing::everything_ready(cluster, PATIENCE);
    streams.unharmed();
    in_sync(cluster);
}

/// Starts the API server again, for the scenarios after this one also when this one failed.
struct Back<'c>(&'c Cluster);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        let said = self.0.start_control_plane(false);
        if !said.ok() {
            say(&said.whole());
        }
    }
}

/// By its process id, at once: as when its machine fails.
fn stop(cluster: &Cluster) {
    let file = cluster.data("run/pid/kube-apiserver");
    let pid = std::fs::read_to_string(&file).expect("the scripts write it");
    let pid = pid.trim();
    command::run(command::line(&format!("kill -9 {pid}"), PATIENCE)).must();
    within(PATIENCE, "the API server ends", || {
        holds(!std::path::Path::new("/proc").join(pid).join("exe").exists(), || "it runs".into())
    });
}

fn echo_by_name(client: &Place) -> Said {
    client.run("dig +short +time=2 +tries=2 echo.default.svc.cluster.local A")
}

/// By pod addresses and, from n1, whose agent is new, by the Service.
fn reaches_all(cluster: &Cluster, pods: &[Pod], services: &[SocketAddr]) {
    let client = pods::named(pods, "a-n1");
    for server in pods.iter().filter(|pod| !pod.host_network) {
        for target in server.targets() {
            let answer = client.place.traffic(&format!("tcp-connects {target} 5"));
            assert_eq!(answer["ok"], 5, "a-n1 -> {}: {answer}", server.name);
        }
    }
    let backends = pods.iter().filter(|pod| !pod.host_network).count();
    for client in [client.place.clone(), cluster.on_node("n1")] {
        for target in services {
            pods::all_answer(&client, *target, backends);
        }
    }
}

/// A change after the return reaches every node.
fn in_sync(cluster: &Cluster) {
    cluster.kubectl("delete pod b-n2 --timeout=90s").must();
    pods::start(cluster);
    paths::services(cluster);
    let pods = pods::all_ready(cluster);
    for node in cluster.nodes() {
        let client = &pods::named(&pods, &format!("a-{node}")).place;
        let ip = pods::service_targets(cluster, "echo")[0].ip().to_string();
        let said = echo_by_name(client);
        assert!(said.out.contains(&ip), "{}", said.whole());
    }
}
