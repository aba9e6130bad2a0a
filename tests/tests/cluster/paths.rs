//! Who reaches whom, and by which address it is seen.

use std::net::{IpAddr, SocketAddr};

use crate::cluster::Cluster;
use crate::command::holds;
use crate::place::Place;
use crate::pods::{self, Pod};

const STREAM: u64 = 4_000_000;
/// To 64 kB: fragments of one datagram have to find each other's way.
const SIZES: &str = "1 1400 1472 1473 4000 9000 65000";

/// From each node's pod, host-network pod and the node itself to pods of every node, host-network
/// ones too.
pub fn all_directions(cluster: &Cluster) {
    let broken = broken_directions(cluster);
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Those of [`all_directions`] that don't work.
pub fn broken_directions(cluster: &Cluster) -> Vec<String> {
    let pods = pods::all_ready(cluster);
    let mut broken = Vec::new();
    for node in cluster.nodes() {
        let client = pods::named(&pods, &format!("a-{node}"));
        let host = pods::named(&pods, &format!("host-{node}"));
        let on_node = cluster.on_node(&node);
        for server in servers(&pods, client) {
            for target in server.targets() {
                for (place, ips) in
                    [(&client.place, &client.ips), (&host.place, &host.ips), (&on_node, &host.ips)]
                {
                    let seen_as = of_family(ips, target.ip());
                    // A node that talks to itself chooses its own source address.
                    let seen_as = (seen_as != target.ip()).then_some(seen_as);
                    broken.extend(reaches(place, target, seen_as).err());
                }
            }
        }
    }
    broken
}

/// Itself, its neighbour on the node, one of each other node, and all nodes.
fn servers<'p>(pods: &'p [Pod], client: &Pod) -> impl Iterator<Item = &'p Pod> {
    let node = client.node.clone();
    pods.iter().filter(move |pod| pod.node == node || pod.host_network || pod.name.starts_with('a'))
}

/// Connects, streams, and sends datagrams of all sizes; `seen_as` is whom the server hears.
fn reaches(client: &Place, target: SocketAddr, seen_as: Option<IpAddr>) -> Result<(), String> {
    let answers = |line: &str, key: &str, wanted: u64| {
        let answer = client.traffic(line);
        let seen = seen_as.filter(|_| !answer["sources"].is_null());
        let seen = seen.is_none_or(|ip| answer["sources"][ip.to_string()] == wanted);
        holds(answer[key] == wanted && seen, || {
            format!("{}: {line}: seen as {seen_as:?}: {answer}", client.name())
        })
    };
    answers(&format!("tcp-connects {target} 3"), "ok", 3)?;
    answers(&format!("udp-connected {target} 3"), "ok", 3)?;
    answers(&format!("udp-unconnected {target} 3"), "ok", 3)?;
    answers(&format!("tcp-stream {target} {STREAM} --timeout-ms 10000"), "bytes", STREAM)?;
    let sizes = SIZES.split(' ').count() as u64;
    answers(&format!("udp-sizes {target} {SIZES}"), "ok", sizes)?;
    answers(&format!("ping {} 3", target.ip()), "ok", 3)
}

/// The machine is outside of the cluster: it sees nodes, not pods.
pub fn outside_sees_the_nodes_address(cluster: &Cluster) {
    let pods = pods::all_ready(cluster);
    for machine in cluster.topology.machine_addresses() {
        let target = SocketAddr::new(machine, 17000);
        let server = Place::machine().start(&format!("echo-server {target} outside"));
        let clients = pods.iter().filter(|pod| !pod.name.starts_with('b'));
        let broken: Vec<_> = clients
            .filter_map(|pod| {
                let node = of_family(&cluster.topology.node_addresses(&pod.node), machine);
                reaches(&pod.place, target, Some(node)).err()
            })
            .collect();
        assert!(broken.is_empty(), "{broken:#?}");
        server.finish();
    }
}

/// A Service's addresses, from pods and nodes: all its pods serve, and it is whom clients see.
pub fn services(cluster: &Cluster) {
    let pods = pods::all_ready(cluster);
    let backends = pods.iter().filter(|pod| !pod.host_network).count();
    for target in pods::service_targets(cluster, "echo") {
        for node in cluster.nodes() {
            let in_pod = &pods::named(&pods, &format!("a-{node}")).place;
            let in_host_pod = &pods::named(&pods, &format!("host-{node}")).place;
            for client in [in_pod, in_host_pod, &cluster.on_node(&node)] {
                let way = format!("{} -> Service {target}", client.name());
                pods::all_answer(client, target, backends);
                for tool in ["tcp-connects", "udp-connected", "udp-unconnected"] {
                    let answer = client.traffic(&format!("{tool} {target} 10"));
                    assert_eq!(answer["ok"], 10, "{way}: {tool}: {answer}");
                    assert_eq!(answer["peers"][target.to_string()], 10, "{way}: {tool}: {answer}");
                }
                let answer = client.traffic(&format!("tcp-stream {target} {STREAM}"));
                assert_eq!(answer["bytes"], STREAM, "{way}: {answer}");
            }
        }
    }
}

/// The one of the same family as `like`.
#[track_caller]
pub fn of_family(ips: &[IpAddr], like: IpAddr) -> IpAddr {
    let same = ips.iter().find(|ip| ip.is_ipv4() == like.is_ipv4());
    *same.unwrap_or_else(|| panic!("no address of the family of {like} in {ips:?}"))
}
