//! A Deployment is replaced while clients connect to its Service.

use std::net::SocketAddr;

use serde_json::json;

use crate::cluster::Cluster;
use crate::pods::{self, PORT, SERVICE_PORT};

const REPLICAS: usize = 4;

pub fn without_a_failure(cluster: &Cluster) {
    let policy = if cluster.topology.dual { "RequireDualStack" } else { "SingleStack" };
    let mut container = pods::container("roll", PORT);
    // As every web server should: serve until all have heard that it goes.
    container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    container["command"] = json!([
        "sh",
        "-c",
        format!("exec {} echo-server [::]:{PORT} $(hostname)", crate::place::TRAFFIC_IN_POD)
    ]);
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "roll"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": "roll"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": "roll"}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [container],
                    "volumes": [pods::volume()],
                },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "roll"},
        "spec": {
            "ipFamilyPolicy": policy,
            "selector": {"app": "roll"},
            "ports": [{"port": SERVICE_PORT, "targetPort": PORT}],
        },
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [deployment, service]});
    cluster.feed("apply", &list.to_string()).must();
    cluster.kubectl("rollout status deploy/roll --timeout=180s").must();
    under_connections(cluster, &pods::service_targets(cluster, "roll"));
    cluster.kubectl("delete deploy/roll service/roll --timeout=60s").must();
    cluster.kubectl("wait --for=delete pod -l app=roll --timeout=60s").must();
}

fn under_connections(cluster: &Cluster, targets: &[SocketAddr]) {
    let pods = pods::all_ready(cluster);
    let pod = &pods::named(&pods, "a-n1").place;
    let node = cluster.on_node("n2");
    let mut streams = Vec::new();
    for target in targets {
        for client in [pod, &node] {
            pods::all_answer(client, *target, REPLICAS);
            let line = format!("tcp-connects {target} 0 --interval-ms 4");
            streams.push((client.name().to_owned(), client.start(&line)));
        }
    }
    cluster.kubectl("rollout restart deploy/roll").must();
    cluster.kubectl("rollout status deploy/roll --timeout=240s").must();
    for target in targets {
        pods::all_answer(pod, *target, REPLICAS);
    }
    for (client, stream) in streams {
        let answer = stream.finish();
        assert_eq!(answer["failed"], 0, "{client}: {answer}");
        let served = answer["servers"].as_object().map_or(0, serde_json::Map::len);
        assert!(served > REPLICAS, "{client}: no new replica served: {answer}");
    }
}
