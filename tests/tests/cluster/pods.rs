//! The pods that scenarios use: on every node two ordinary ones and one of the host's network, each
//! with an echo server and the tools of the netbox image; and a Service of each kind.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fairlead_tests::Family;
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE};
use crate::command::{holds, within};
use crate::place::{Place, TRAFFIC, TRAFFIC_IN_POD};

pub const PORT: u16 = 7000;
/// Of pods on the host's network.
pub const HOST_PORT: u16 = 7100;
/// Of Services.
pub const SERVICE_PORT: u16 = 80;

const IMAGE: &str = "peers.local/netbox:1";

/// A running pod.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub node: String,
    pub ips: Vec<IpAddr>,
    pub host_network: bool,
    pub place: Place,
}

impl Pod {
    /// Where its echo server listens.
    pub fn targets(&self) -> Vec<SocketAddr> {
        let port = if self.host_network { HOST_PORT } else { PORT };
        self.ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
    }
}

/// Starts those that are missing, and waits until all are Ready.
pub fn start(cluster: &Cluster) {
    apply(cluster);
    all_ready(cluster);
}

/// Makes those that are missing.
pub fn apply(cluster: &Cluster) {
    let mut items = Vec::new();
    for node in cluster.nodes() {
        for name in ["a", "b"] {
            items.push(pod(&format!("{name}-{node}"), &node, false));
        }
        items.push(pod(&format!("host-{node}"), &node, true));
    }
    let family = if cluster.topology.dual { Family::Dual } else { Family::V4 };
    items.push(service("echo", family, None));
    items.push(service("echo-headless", family, Some("None")));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    cluster.feed("apply", &list.to_string()).must();
}

fn pod(name: &str, node: &str, host_network: bool) -> Value {
    let labels = if host_network { json!({"probe": "host"}) } else { json!({"probe": "pod"}) };
    let port = if host_network { HOST_PORT } else { PORT };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeName": node,
            "hostNetwork": host_network,
            "hostname": name,
            "subdomain": "echo-headless",
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container(name, port)],
            "volumes": [volume()],
        },
    })
}

/// An echo server that calls itself `name`. Its standard input stays open, or it would end.
pub fn container(name: &str, port: u16) -> Value {
    json!({
        "name": "echo",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "stdin": true,
        "command": [TRAFFIC_IN_POD, "echo-server", format!("[::]:{port}"), name],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "traffic", "mountPath": TRAFFIC_IN_POD, "readOnly": true}],
    })
}

/// The harness's tool: nodes see the machine's files.
pub fn volume() -> Value {
    json!({"name": "traffic", "hostPath": {"path": TRAFFIC, "type": "File"}})
}

/// A Service of all ordinary pods, TCP and UDP.
fn service(name: &str, family: Family, cluster_ip: Option<&str>) -> Value {
    let policy = if family.v6() { "RequireDualStack" } else { "SingleStack" };
    let port = |protocol: &str| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": SERVICE_PORT, "targetPort": PORT});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "ipFamilyPolicy": policy,
            "clusterIP": cluster_ip,
            "selector": {"probe": "pod"},
            "ports": [port("TCP"), port("UDP")],
        },
    })
}

/// Waits until each of them is Ready, and answers what they are now.
#[track_caller]
pub fn all_ready(cluster: &Cluster) -> Vec<Pod> {
    let wanted = cluster.nodes().len() * 3;
    within(PATIENCE * 2, "the scenarios' pods are Ready", || {
        let said = cluster.kubectl("get pods -l probe -o json");
        let items: Value = serde_json::from_str(&said.out).map_err(|_| said.whole())?;
        let items = items["items"].as_array().cloned().unwrap_or_default();
        let pods: Vec<Pod> = items.iter().filter_map(|item| parse(cluster, item)).collect();
        holds(pods.len() == wanted, || format!("{} of {wanted} are", pods.len()))?;
        Ok(pods)
    })
}

/// A pod that is Ready and not on its way out.
pub fn parse(cluster: &Cluster, item: &Value) -> Option<Pod> {
    let conditions = item["status"]["conditions"].as_array()?;
    let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    if !ready || !item["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let name = item["metadata"]["name"].as_str()?;
    let node = item["spec"]["nodeName"].as_str()?;
    let container = item["status"]["containerStatuses"][0]["containerID"].as_str()?;
    let ips = item["status"]["podIPs"].as_array()?.iter();
    Some(Pod {
        name: name.into(),
        node: node.into(),
        ips: ips.filter_map(|ip| ip["ip"].as_str()?.parse().ok()).collect(),
        host_network: item["spec"]["hostNetwork"] == true,
        place: cluster.on_node(node).container(name, container.strip_prefix("containerd://")?),
    })
}

/// The pod of this name.
#[track_caller]
pub fn named<'p>(pods: &'p [Pod], name: &str) -> &'p Pod {
    pods.iter().find(|pod| pod.name == name).unwrap_or_else(|| panic!("no pod {name}"))
}

/// A Service's cluster addresses with the port.
#[track_caller]
pub fn service_targets(cluster: &Cluster, name: &str) -> Vec<SocketAddr> {
    let service = cluster.get(&format!("service {name}"));
    let ips = service["spec"]["clusterIPs"].as_array().cloned().unwrap_or_default();
    let ips = ips.iter().filter_map(|ip| ip.as_str()?.parse().ok());
    let targets: Vec<_> = ips.map(|ip| SocketAddr::new(ip, SERVICE_PORT)).collect();
    assert!(!targets.is_empty(), "{service}");
    targets
}

/// Waits until all of `wanted` answer at `target`, asked from `place`.
#[track_caller]
pub fn all_answer(place: &Place, target: SocketAddr, wanted: usize) {
    let what = format!("{}: {wanted} servers answer at {target}", place.name());
    within(Duration::from_secs(30), &what, || {
        let answer = place.traffic(&format!("tcp-connects {target} 40 --timeout-ms 1000"));
        let servers = answer["servers"].as_object().map_or(0, serde_json::Map::len);
        holds(servers == wanted && answer["failed"] == 0, || answer.to_string())
    });
}
