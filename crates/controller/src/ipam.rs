//! Gives nodes their pod CIDRs.

use std::collections::BTreeMap;

use fairlead_api::objects::{Given, give_pod_cidrs};
use fairlead_api::{Client, Health, WatchOptions, watch};
use fairlead_model::{Event, Kind, Object, ObjectName};
use ipnet::IpNet;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::core::ranges::Ranges;
use crate::retry::{AGAIN, Complaints, complaint};
use crate::run::Status;

/// All nodes, as the watch tells of them.
#[derive(Default)]
struct Nodes {
    known: BTreeMap<String, Vec<IpNet>>,
    /// What a list has named so far.
    listed: Option<BTreeMap<String, Vec<IpNet>>>,
    /// Whether `known` has been complete once. Before, nothing may be given.
    synced: bool,
}

impl Nodes {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Restart(_) => self.listed = Some(BTreeMap::new()),
            Event::Synced(_) => {
                if let Some(listed) = self.listed.take() {
                    self.known = listed;
                }
                self.synced = true;
            }
            Event::Apply(Object::Node(node)) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(node.name.clone(), node.pod_cidrs.clone());
                }
                self.known.insert(node.name, node.pod_cidrs);
            }
            Event::Delete(_, name) => {
                if let Some(listed) = &mut self.listed {
                    listed.remove(&name.name);
                }
                self.known.remove(&name.name);
            }
            Event::Apply(_) => {}
        }
    }

    fn complete(&self) -> bool {
        self.synced && self.listed.is_none()
    }
}

/// Runs until it is dropped.
pub(crate) async fn run(client: &Client, ranges: &Ranges, status: &Sender<Status>) {
    let options = WatchOptions { kinds: vec![Kind::Node], ..WatchOptions::default() };
    let mut watch = watch(client, &options);
    let mut nodes = Nodes::default();
    let mut complaints = Complaints::default();
    let mut again: Option<Instant> = None;
    loop {
        let timer = sleep_until(again.unwrap_or_else(Instant::now));
        tokio::select! {
            event = watch.events.recv() => match event {
                Some(event) => nodes.apply(event),
                None => return,
            },
            () = timer, if again.is_some() => {}
        }
        while let Ok(event) = watch.events.try_recv() {
            nodes.apply(event);
        }
        again = None;
        if nodes.complete() && !give(client, ranges, &mut nodes, &mut complaints).await {
            again = Some(Instant::now() + AGAIN);
        }
        tell(status, &nodes, &watch.health);
    }
}

/// Gives what the plan says. Whether all of it could be done.
async fn give(
    client: &Client,
    ranges: &Ranges,
    nodes: &mut Nodes,
    complaints: &mut Complaints,
) -> bool {
    let plan = ranges.plan(&nodes.known);
    let mut done = true;
    for name in plan.full {
        let message = format!(
            "node {name} gets no pod CIDR: the ranges of ipam.clusterCIDRs are all given to nodes; \
             add a range there, or remove nodes"
        );
        let node = ObjectName::new("", &name);
        complaints.say(client, complaint("Node", node, "CIDRNotAvailable", message)).await;
    }
    for (name, cidrs) in plan.give {
        match give_pod_cidrs(client, &name, &cidrs).await {
            Ok(Given::Done) => {
                info!(node = name, ?cidrs, "gave a node its pod CIDRs");
                complaints.settled(&ObjectName::new("", &name));
                // Not to be given again before the watch says so.
                nodes.known.insert(name, cidrs);
            }
            // A plan made without knowing this may give the same range twice: make a new one.
            Ok(Given::Had(had)) => {
                nodes.known.insert(name, had);
                return false;
            }
            Ok(Given::Gone) => {
                nodes.known.remove(&name);
            }
            Err(e) if e.is_conflict() => done = false,
            Err(e) => {
                warn!("{e}");
                done = false;
            }
        }
    }
    done
}

fn tell(status: &Sender<Status>, nodes: &Nodes, health: &Health) {
    let without = nodes.known.values().filter(|cidrs| cidrs.is_empty()).count();
    let connected = health.all_connected();
    status.send_if_modified(|s| {
        let before = (s.nodes_without_cidr, s.connected);
        (s.nodes_without_cidr, s.connected) = (without, connected);
        before != (without, connected)
    });
}
