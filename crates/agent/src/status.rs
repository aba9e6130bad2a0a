//! What the agent says of itself.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_cni::conf;
use fairlead_cni::ipam::Record;
use fairlead_datapath::{LAYOUT, SOCKET_PROGRAM_COUNT};
use fairlead_link::Offloads;
use fairlead_model::Kind;
use fairlead_observe::metrics::Metrics;
use fairlead_observe::status as page;
use fairlead_observe::status::{Problem, Status};
use tokio::sync::oneshot;

use crate::jobs::{Devices, Outcome};
use crate::node::Agent;
use crate::ways::TUNNEL;

/// What only the kernel can say. It may have to be waited for: its lock of network devices is held
/// long while programs are attached.
pub(crate) struct Facts {
    /// The pods' links that were on record when it was asked.
    recorded: BTreeSet<String>,
    /// Pods' links that are there.
    links: Vec<String>,
    /// Of all devices that should have programs, those that lack one.
    bare: BTreeSet<String>,
    /// By the uplinks' names.
    offloads: BTreeMap<String, Offloads>,
}

async fn facts(
    devices: Devices,
    recorded: BTreeSet<String>,
    mut names: Vec<String>,
    uplinks: Vec<String>,
) -> Facts {
    let links = devices.link.pod_links().await.unwrap_or_default();
    names.extend(uplinks.iter().cloned());
    names.push(TUNNEL.into());
    let bare = devices.block(move |attacher| {
        names.retain(|name| !attacher.is_attached(name));
        Ok(names)
    });
    let bare = bare.await.unwrap_or_default().into_iter().collect();
    let mut offloads = BTreeMap::new();
    for name in uplinks {
        if let Ok(found) = devices.link.offloads(&name).await {
            offloads.insert(name, found);
        }
    }
    Facts { recorded, links: links.into_iter().map(|l| l.name).collect(), bare, offloads }
}

impl Agent {
    /// Asks the kernel first, beside the agent's task. A pod that comes or goes is not judged.
    pub(crate) fn begin_status(&self, reply: oneshot::Sender<Box<Status>>) {
        let recorded = self.records.iter().map(|r| r.host_link.clone()).collect();
        let idle = self.records.iter().filter(|r| !self.jobs.is_busy(&r.attachment));
        let idle = idle.map(|r| r.host_link.clone()).collect();
        let uplinks = self.plan.uplinks.iter().map(|u| u.name.clone()).collect();
        let facts = facts(self.devices(), recorded, idle, uplinks);
        self.jobs.start(async move { Outcome::Facts { facts: facts.await, reply } });
    }

    pub(crate) fn status(&mut self, facts: Facts) -> Status {
        Status {
            node: self.node_status(),
            api: self.api_status(),
            datapath: self.datapath_status(&facts),
            nodes: self.plan.peers.iter().map(peer).collect(),
            pods: self.pod_status(),
            services: self.service_status(),
            dns: self.dns_status(),
            maps: self.map_status(),
            traffic: self.datapath.traffic().into_iter().map(traffic).collect(),
            drops: self.datapath.drops().into_iter().map(drops).collect(),
            reported: self.reported(&facts),
        }
    }

    fn node_status(&self) -> page::Node {
        let me = self.nodes.get(&self.config.node_name);
        page::Node {
            name: self.config.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: self.started.elapsed().as_secs(),
            kernel: self.kernel.clone(),
            addresses: me.map(|n| n.internal_ips.clone()).unwrap_or_default(),
        }
    }

    fn api_status(&self) -> page::Api {
        let health = (self.source.health)();
        let synced = |kind: &Kind| self.synced.contains(kind);
        page::Api {
            server: health.server,
            connected: health.connected,
            since: health.since.as_secs(),
            error: health.error,
            not_synced: Kind::ALL.iter().filter(|k| !synced(k)).map(|k| format!("{k:?}")).collect(),
        }
    }

    fn datapath_status(&self, facts: &Facts) -> page::Datapath {
        let mut devices = Vec::new();
        for uplink in &self.plan.uplinks {
            let mut off = Vec::new();
            if let Some(o) = facts.offloads.get(&uplink.name) {
                let tunnel = self.plan.tunnelled;
                // between virtual devices large segments pass whole: there is nothing to merge
                let hardware = !uplink.is_virtual;
                let wanted = [
                    ("tx-tcp-segmentation", o.tso),
                    ("tx-checksum-ip-generic", o.tx_checksum),
                    ("rx-gro", o.gro || !hardware),
                    ("tx-udp_tnl-segmentation", o.udp_tunnel_segmentation || !tunnel),
                ];
                off.extend(wanted.iter().filter(|(_, on)| !on).map(|(name, _)| (*name).to_owned()));
            }
            devices.push(page::Device {
                name: uplink.name.clone(),
                mtu: uplink.mtu,
                offloads_off: off,
            });
        }
        let masquerade = &self.config.masquerade;
        let families = [("IPv4", masquerade.ipv4), ("IPv6", masquerade.ipv6)];
        page::Datapath {
            programs: self.programs(facts),
            layout: LAYOUT,
            bpffs: self.datapath.map_dir().display().to_string(),
            cgroup: self.cgroup.clone(),
            routing: self.config.routing.name().into(),
            mtu: self.plan.mtu,
            mtu_reason: self.plan.mtu_reason.clone(),
            masquerade: families.iter().filter(|(_, on)| *on).map(|(f, _)| (*f).into()).collect(),
            devices,
        }
    }

    fn programs(&self, facts: &Facts) -> Vec<page::Program> {
        let program = |name: &str, attached: usize, wanted: usize| page::Program {
            name: name.into(),
            attached: attached as u32,
            wanted: wanted as u32,
        };
        let on = |name: &str| usize::from(!facts.bare.contains(name));
        // one that was asked about may be going by now
        let pod =
            |r: &Record| self.jobs.is_busy(&r.attachment) || !facts.bare.contains(&r.host_link);
        let pods = self.records.len();
        // before the node is known nobody can say how many
        let wanted = if self.plan.mtu == 0 { 0 } else { self.plan.uplinks.len().max(1) };
        let mut all = vec![
            program("sockets", self.datapath.sockets_attached(), SOCKET_PROGRAM_COUNT),
            program("pods", self.records.iter().filter(|r| pod(r)).count(), pods),
            program("uplinks", self.plan.uplinks.iter().map(|u| on(&u.name)).sum(), wanted),
        ];
        if self.plan.tunnel_mtu.is_some() {
            all.push(program("tunnel", on(TUNNEL), 1));
        }
        all
    }

    fn pod_status(&self) -> page::Pods {
        let clamp = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        let range = |u: fairlead_cni::ipam::Usage| page::Range {
            cidr: u.cidr.to_string(),
            in_use: clamp(u.in_use),
            capacity: clamp(u.usable),
        };
        page::Pods {
            count: self.records.len() as u64,
            ranges: self.records.usage().into_iter().map(range).collect(),
        }
    }

    fn service_status(&self) -> page::Services {
        let (frontends, backends) = self.balancer.counts();
        let names = self.names.read().expect(crate::NOT_POISONED);
        let problems = self
            .services
            .services()
            .flat_map(|s| self.services.problems(s).into_iter().map(move |p| format!("{s}: {p}")));
        page::Services {
            services: names.service_count() as u64,
            frontends: frontends as u64,
            backends: backends as u64,
            problems: problems.collect(),
        }
    }

    fn dns_status(&self) -> page::Dns {
        let counts = self.dns.counts();
        let failed = fairlead_dns::server::Counts::of(&counts.answers, "SERVFAIL");
        let all: u64 = counts.answers.iter().map(|(_, n)| n).sum();
        page::Dns {
            addresses: self.dns_addresses.clone(),
            answered: all - failed,
            failed: failed + counts.socket_errors,
        }
    }

    fn map_status(&self) -> Vec<page::Map> {
        let (used, max) = self.balancer.slots_in_use();
        let slots = page::Map {
            name: "fl_slots".into(),
            entries: used.into(),
            max: max.into(),
            evicts: false,
        };
        let nat =
            self.translations.iter().zip(&self.translated).map(|(t, (seen, removed))| page::Map {
                name: t.name().into(),
                entries: (seen - removed) as u64,
                max: t.max_entries().into(),
                evicts: true,
            });
        std::iter::once(slots).chain(nat).collect()
    }

    fn reported(&self, facts: &Facts) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .troubles
            .values()
            .flatten()
            .map(|sentence| Problem::degraded(sentence.clone(), ""))
            .collect();
        if self.records.usage().is_empty() {
            problems.push(Problem::not_ready(
                format!("node {} has no pod CIDR", self.config.node_name),
                "start kube-controller-manager with --allocate-node-cidrs and --cluster-cidr, or set ipam.clusterCIDRs",
            ));
        }
        if let Ok(Some(other)) = conf::shadowed_by(&self.config.cni_conf_dir) {
            problems.push(Problem::degraded(
                format!(
                    "the container runtime uses {} instead of Fairlead's configuration",
                    other.display()
                ),
                "remove that file if Fairlead is to be the network",
            ));
        }
        for layout in self.datapath.other_layouts() {
            problems.push(Problem::note(format!(
                "{layout} was left by another version: its translated connections are not taken over"
            )));
        }
        for link in self.unknown_links(facts) {
            problems.push(Problem::note(format!(
                "link {link} looks like a pod's, but no pod is known for it"
            )));
        }
        problems
    }

    /// Pods' links that no record knows: not ours to remove, since a pod may live behind one.
    fn unknown_links<'a>(&self, facts: &'a Facts) -> Vec<&'a String> {
        let known: BTreeSet<&String> = self.records.iter().map(|r| &r.host_link).collect();
        let unknown = |link: &&String| !known.contains(link) && !facts.recorded.contains(*link);
        facts.links.iter().filter(unknown).collect()
    }

    pub(crate) fn metrics(&mut self) -> String {
        let mut m = Metrics::new();
        for drop in self.datapath.drops() {
            let labels = [("hook", drop.hook), ("reason", drop.name)];
            m.counter(
                "fairlead_drops_total",
                "Packets dropped by the datapath.",
                &labels,
                drop.packets,
            );
        }
        for way in self.datapath.traffic() {
            let labels = [("how", way.name)];
            m.counter(
                "fairlead_forwarded_packets_total",
                "Packets forwarded, by way.",
                &labels,
                way.packets,
            );
            m.counter(
                "fairlead_forwarded_bytes_total",
                "Bytes forwarded, by way.",
                &labels,
                way.bytes,
            );
        }
        let (frontends, backends) = self.balancer.counts();
        m.gauge("fairlead_pods", "Pods attached to this node.", &[], self.records.len() as f64);
        m.gauge("fairlead_service_frontends", "Service ports programmed.", &[], frontends as f64);
        m.gauge("fairlead_service_backends", "Endpoints programmed.", &[], backends as f64);
        m.gauge("fairlead_nodes", "Other nodes of the cluster.", &[], self.plan.peers.len() as f64);
        m.gauge("fairlead_pod_mtu_bytes", "MTU of new pods.", &[], f64::from(self.plan.mtu));
        for usage in self.records.usage() {
            let cidr = usage.cidr.to_string();
            let labels = [("cidr", cidr.as_str())];
            m.gauge(
                "fairlead_ipam_addresses_in_use",
                "Addresses that pods have.",
                &labels,
                usage.in_use as f64,
            );
            m.gauge(
                "fairlead_ipam_addresses",
                "Addresses that pods can have.",
                &labels,
                usage.usable as f64,
            );
        }
        for map in self.map_status() {
            let labels = [("map", map.name.as_str())];
            m.gauge(
                "fairlead_map_entries",
                "Entries of a map in use, as last counted.",
                &labels,
                map.entries as f64,
            );
            m.gauge(
                "fairlead_map_max_entries",
                "Entries that a map can have.",
                &labels,
                map.max as f64,
            );
        }
        self.dns_metrics(&mut m);
        m.render()
    }

    fn dns_metrics(&self, m: &mut Metrics) {
        let counts = self.dns.counts();
        for (kind, count) in &counts.questions {
            m.counter(
                "fairlead_dns_questions_total",
                "Questions, by type.",
                &[("type", kind)],
                *count,
            );
        }
        for (rcode, count) in &counts.answers {
            m.counter(
                "fairlead_dns_answers_total",
                "Answers, by response code.",
                &[("rcode", rcode)],
                *count,
            );
        }
        m.counter(
            "fairlead_dns_forwarded_total",
            "Questions handed to the node's resolvers.",
            &[],
            counts.forwarded,
        );
        m.counter(
            "fairlead_dns_forward_failures_total",
            "Of these, those that none answered.",
            &[],
            counts.forward_failures,
        );
    }
}

fn peer(p: &crate::ways::Peer) -> page::OtherNode {
    page::OtherNode {
        name: p.name.clone(),
        address: p.address,
        way: p.way.clone(),
        pod_cidrs: p.pod_cidrs.iter().map(ToString::to_string).collect(),
        problem: p.problem.clone(),
    }
}

fn traffic(c: fairlead_datapath::Count) -> page::Traffic {
    page::Traffic { how: c.name.into(), packets: c.packets, bytes: c.bytes }
}

fn drops(c: fairlead_datapath::Count) -> page::Drops {
    page::Drops { hook: c.hook.into(), reason: c.text.into(), packets: c.packets }
}
