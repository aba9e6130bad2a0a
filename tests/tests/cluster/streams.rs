//! Traffic that goes on while something happens, and may not notice.

use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::paths::of_family;
use crate::place::{Place, Running};
use crate::pods::{self, Pod};

/// What runs, and what it is called.
pub struct Streams {
    running: Vec<(String, Running)>,
    _outside: Vec<Running>,
}

impl Streams {
    /// In each family, between the first node's pod and the second's, new connections and datagrams
    /// to a Service from pods and nodes, and connections that live on.
    pub fn start(cluster: &Cluster) -> Self {
        let pods = pods::all_ready(cluster);
        let mut streams = Self { running: Vec::new(), _outside: Vec::new() };
        for target in pods::service_targets(cluster, "echo") {
            streams.of_family(cluster, &pods, target);
        }
        streams
    }

    fn of_family(&mut self, cluster: &Cluster, pods: &[Pod], service: SocketAddr) {
        let [first, second] = ["a-n1", "a-n2"].map(|name| pods::named(pods, name));
        let node = cluster.on_node("n2");
        let far = SocketAddr::new(of_family(&second.ips, service.ip()), pods::PORT);
        let machine = of_family(&cluster.topology.machine_addresses(), service.ip());
        let outside = SocketAddr::new(machine, 17001);
        self._outside.push(Place::machine().start(&format!("echo-server {outside} outside")));
        for (client, line) in [
            (&first.place, format!("tcp-connects {service} 0 --interval-ms 5")),
            (&node, format!("tcp-connects {service} 0 --interval-ms 5")),
            (&second.place, format!("udp-unconnected {service} 0 --interval-ms 5")),
            (&first.place, format!("tcp-connects {outside} 0 --interval-ms 50")),
            (&first.place, format!("hold {service} --interval-ms 2")),
            (&first.place, format!("hold {far} --interval-ms 2")),
            (&second.place, format!("hold {outside} --interval-ms 2")),
            (&node, format!("hold {far} --interval-ms 2")),
        ] {
            let running = client.start(&format!("{line} --timeout-ms 5000"));
            self.running.push((format!("{}: {line}", client.name()), running));
        }
    }

    /// Ends them: not one exchange may have failed.
    #[track_caller]
    pub fn unharmed(self) {
        let harmed = self.running.into_iter().filter_map(|(name, running)| {
            let answer = running.finish();
            let connects = answer["failed"] == 0 && answer["ok"].as_u64() > Some(0);
            let held = answer["broke"].is_null() && answer["exchanges"].as_u64() > Some(0);
            (!connects && !held).then(|| format!("{name}: {answer}"))
        });
        let harmed: Vec<String> = harmed.collect();
        assert!(harmed.is_empty(), "{harmed:#?}");
    }
}
