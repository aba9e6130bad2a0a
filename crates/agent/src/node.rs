//! The agent itself: one task that owns the node's state and makes the kernel equal to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use fairlead_cni::ipam::Records;
use fairlead_datapath::contract::{CONFIG_EVENTS_NEW, Config as KernelConfig};
use fairlead_datapath::{Attacher, Balancer, Datapath, Timeouts, Translations};
use fairlead_dns::core::Zone;
use fairlead_link::Handle;
use fairlead_model::{Event, Kind, Node, Object, ObjectName};
use fairlead_observe::status::Status;
use fairlead_services::{FrontendSpec, State};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::jobs::{Asked, Devices, Jobs, Outcome};
use crate::names::NameTable;
use crate::ways::Plan;
use crate::{Error, Source};

/// The DNS Service that every cluster has.
pub const DNS_SERVICE: (&str, &str) = ("kube-system", "kube-dns");

/// How long changes of links are gathered before they are looked at.
const SETTLE: Duration = Duration::from_millis(100);

/// How often everything is compared again, whatever the events said.
const PERIOD: Duration = Duration::from_secs(30);

/// What others ask of the agent.
pub enum Message {
    Cni(Asked),
    Status { reply: oneshot::Sender<Box<Status>> },
    Metrics { reply: oneshot::Sender<String> },
}

/// State of a node.
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) link: Handle,
    pub(crate) datapath: Datapath,
    pub(crate) attacher: Attacher,
    pub(crate) jobs: Jobs,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    pub(crate) balancer: Balancer,
    pub(crate) translations: [Translations; 2],
    pub(crate) records: Records,
    pub(crate) services: State,
    pub(crate) zone: Arc<RwLock<Zone>>,
    pub(crate) dns: fairlead_dns::server::Server,
    pub(crate) names: Arc<RwLock<NameTable>>,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Pods of this node, by the API.
    pub(crate) pods: BTreeSet<ObjectName>,
    listed: BTreeMap<Kind, BTreeSet<ObjectName>>,
    pub(crate) synced: BTreeSet<Kind>,
    pub(crate) dns_addresses: Vec<IpAddr>,
    /// Those that questions are answered at.
    served: Vec<IpAddr>,
    pub(crate) plan: Plan,
    pub(crate) cgroup: String,
    pub(crate) kernel: String,
    pub(crate) started: Instant,
    pub(crate) source: Source,
    pub(crate) translated: [(usize, usize); 2],
    /// Sentences about what could not be done, by what it is about.
    pub(crate) troubles: BTreeMap<&'static str, Vec<String>>,
    ready: watch::Sender<bool>,
    dirty: BTreeSet<ObjectName>,
    applied: bool,
}

/// What an agent is made of, before it runs.
pub(crate) struct Made {
    pub config: Config,
    pub link: Handle,
    pub datapath: Datapath,
    pub attacher: Attacher,
    pub balancer: Balancer,
    pub translations: [Translations; 2],
    pub records: Records,
    pub zone: Arc<RwLock<Zone>>,
    pub dns: fairlead_dns::server::Server,
    pub names: Arc<RwLock<NameTable>>,
    pub cgroup: String,
    pub kernel: String,
    pub source: Source,
    pub ready: watch::Sender<bool>,
}

impl Agent {
    pub(crate) fn new(made: Made) -> Self {
        let (jobs, outcomes) = Jobs::new();
        Agent {
            config: made.config,
            link: made.link,
            datapath: made.datapath,
            attacher: made.attacher,
            jobs,
            outcomes,
            balancer: made.balancer,
            translations: made.translations,
            records: made.records,
            services: State::new(),
            zone: made.zone,
            dns: made.dns,
            names: made.names,
            nodes: BTreeMap::new(),
            pods: BTreeSet::new(),
            listed: BTreeMap::new(),
            synced: BTreeSet::new(),
            dns_addresses: Vec::new(),
            served: Vec::new(),
            plan: Plan::default(),
            cgroup: made.cgroup,
            kernel: made.kernel,
            started: Instant::now(),
            source: made.source,
            translated: [(0, 0); 2],
            troubles: BTreeMap::new(),
            ready: made.ready,
            dirty: BTreeSet::new(),
            applied: false,
        }
    }

    /// Runs until both the inbox and the watches have ended, or `shutdown`.
    pub(crate) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut inbox: mpsc::Receiver<Message>,
        mut observers: watch::Receiver<usize>,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let mut changes = self.link.watch()?;
        let mut period = tokio::time::interval(PERIOD);
        let mut batch = Vec::new();
        let mut look_at_links: Option<tokio::time::Instant> = None;
        let mut watching = true;
        loop {
            let settle = async {
                match look_at_links {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = events.recv_many(&mut batch, 1024), if watching => {
                    watching = count > 0;
                    self.take(batch.drain(..)).await;
                }
                Some(message) = inbox.recv() => self.answer(message),
                Some(outcome) = self.outcomes.recv() => self.conclude(outcome),
                Some(()) = changes.recv() => {
                    look_at_links.get_or_insert_with(|| tokio::time::Instant::now() + SETTLE);
                }
                () = settle => {
                    look_at_links = None;
                    self.network().await;
                }
                Ok(()) = observers.changed() => self.report_flows(*observers.borrow() > 0),
                _ = period.tick() => self.compare().await,
                _ = shutdown.changed() => return Ok(()),
            }
        }
    }

    fn answer(&mut self, message: Message) {
        match message {
            Message::Cni(asked) => self.cni(asked),
            Message::Status { reply } => self.begin_status(reply),
            // who no longer waits for an answer needs none
            Message::Metrics { reply } => {
                let _ = reply.send(self.metrics());
            }
        }
    }

    /// Takes in what the watches said, then acts on it once.
    async fn take(&mut self, events: impl Iterator<Item = Event>) {
        let nodes_changed = self.absorb(events);
        if self.synced.contains(&Kind::Node) && nodes_changed {
            self.nodes_changed();
            self.network().await;
        }
        self.apply_services().await;
        self.announce_ready().await;
    }

    /// Answers whether nodes changed.
    fn absorb(&mut self, events: impl Iterator<Item = Event>) -> bool {
        let shared = self.zone.clone();
        let mut zone = shared.write().expect(crate::NOT_POISONED);
        let mut nodes_changed = false;
        for event in events {
            zone.apply(&event);
            self.dirty.extend(self.services.apply(&event));
            nodes_changed |= self.note(event);
        }
        nodes_changed
    }

    /// Keeps what the agent itself needs of an event. Answers whether nodes changed.
    fn note(&mut self, event: Event) -> bool {
        match event {
            Event::Restart(kind) => {
                self.listed.insert(kind, BTreeSet::new());
                false
            }
            Event::Synced(kind) => {
                self.synced.insert(kind);
                let listed = self.listed.remove(&kind).unwrap_or_default();
                match kind {
                    Kind::Node => {
                        self.nodes.retain(|n, _| listed.contains(&ObjectName::new("", n)))
                    }
                    Kind::Pod => self.pods.retain(|name| listed.contains(name)),
                    Kind::Service if !listed.iter().any(is_dns) => self.dns_addresses.clear(),
                    _ => {}
                }
                kind == Kind::Node
            }
            Event::Apply(object) => {
                if let Some(listed) = self.listed.get_mut(&object.kind()) {
                    listed.insert(object.name());
                }
                self.keep(object)
            }
            Event::Delete(Kind::Node, name) => self.nodes.remove(&name.name).is_some(),
            Event::Delete(Kind::Pod, name) => {
                self.pods.remove(&name);
                false
            }
            Event::Delete(Kind::Service, name) if is_dns(&name) => {
                self.dns_addresses.clear();
                false
            }
            Event::Delete(..) => false,
        }
    }

    fn keep(&mut self, object: Object) -> bool {
        match object {
            Object::Node(node) => {
                let changed = self.nodes.get(&node.name) != Some(&node);
                self.nodes.insert(node.name.clone(), node);
                changed
            }
            Object::Pod(pod) if pod.node_name == self.config.node_name => {
                self.pods.insert(pod.name);
                false
            }
            Object::Service(service) if is_dns(&service.name) => {
                self.dns_addresses = service.cluster_ips;
                false
            }
            _ => false,
        }
    }

    fn nodes_changed(&mut self) {
        let cidrs = self.nodes.get(&self.config.node_name).map(|n| n.pod_cidrs.clone());
        if let Some(cidrs) = cidrs.filter(|c| !c.is_empty())
            && let Err(e) = self.use_cidrs(&cidrs)
        {
            error!("{e}");
            self.troubles.insert("pod CIDRs", vec![e.to_string()]);
        }
        let mut names = self.names.write().expect(crate::NOT_POISONED);
        names.set_nodes(self.nodes.values());
        self.dirty.extend(names.services_at_nodes());
    }

    fn use_cidrs(&mut self, cidrs: &[ipnet::IpNet]) -> Result<(), Error> {
        self.records.set_cidrs(cidrs)?;
        self.troubles.remove("pod CIDRs");
        crate::store::write(&self.config.cidrs(), cidrs)
    }

    /// Makes the kernel's Services those of the API. Not before all of them are known: a Service
    /// whose endpoints have not been said yet would lose those that the kernel has.
    async fn apply_services(&mut self) {
        if !self.services_known() {
            return;
        }
        let first = !std::mem::replace(&mut self.applied, true);
        let dirty = std::mem::take(&mut self.dirty);
        if first {
            self.dirty.extend(self.services.services().cloned());
        }
        self.dirty.extend(dirty);
        let mut troubles = Vec::new();
        for service in std::mem::take(&mut self.dirty) {
            if let Err(e) = self.apply_service(&service) {
                troubles.push(format!("Service {service}: {e}"));
                self.dirty.insert(service);
            }
        }
        if first && let Err(e) = self.balancer.prune(crate::clock::millis()) {
            troubles.push(e.to_string());
        }
        self.trouble("services", troubles);
        if self.served != self.dns_addresses || self.troubles.contains_key("dns") {
            self.serve_names().await;
        }
    }

    fn apply_service(&mut self, service: &ObjectName) -> Result<(), String> {
        let mut frontends = self.services.frontends(service);
        if is_dns(service) {
            // questions are answered on this node, at the address itself
            frontends.retain(|f| f.port != 53);
        }
        let refused = self.refuse_clashes(&mut frontends);
        let applied = self.balancer.apply(service, &frontends, crate::clock::millis());
        applied.map_err(|e| e.to_string())?;
        let mut names = self.names.write().expect(crate::NOT_POISONED);
        names.set_service(service, &frontends);
        refused.map_or(Ok(()), Err)
    }

    /// No Service takes a node's own address away, and one with an address of pods is told.
    fn refuse_clashes(&self, frontends: &mut Vec<FrontendSpec>) -> Option<String> {
        let names = self.names.read().expect(crate::NOT_POISONED);
        let at_node = frontends.iter().find_map(|f| {
            let (addr, node) = (f.addr, names.node(&f.addr)?);
            Some(format!("cluster IP {addr} is the address of {node} and is not served: the API server's --service-cluster-ip-range must not overlap the nodes' network"))
        });
        frontends.retain(|f| names.node(&f.addr).is_none());
        at_node.or_else(|| {
            let cidrs = self.records.usage();
            let (addr, cidr) = frontends.iter().find_map(|f| {
                Some((f.addr, cidrs.iter().find(|u| u.cidr.contains(&f.addr.ip()))?.cidr))
            })?;
            Some(format!("cluster IP {addr} is in pod CIDR {cidr}, where a pod can get it too: the API server's --service-cluster-ip-range must not overlap pod CIDRs"))
        })
    }

    /// Listens on the DNS Service's addresses, which the node then has.
    pub(crate) async fn serve_names(&mut self) {
        let mut troubles = Vec::new();
        if let Err(e) = crate::store::write(&self.config.dns_addresses(), &self.dns_addresses) {
            troubles.push(e.to_string());
        }
        match self.link.sync_lo_addresses(&self.dns_addresses).await {
            Ok(changes) => troubles.extend(changes.failed.iter().map(ToString::to_string)),
            Err(e) => troubles.push(e.to_string()),
        }
        let addresses: Vec<_> = self.dns_addresses.iter().map(|ip| (*ip, 53).into()).collect();
        if let Err(e) = self.dns.set_addresses(&addresses) {
            troubles.push(e.to_string());
        }
        self.served.clone_from(&self.dns_addresses);
        self.trouble("dns", troubles);
    }

    pub(crate) fn services_known(&self) -> bool {
        self.synced.contains(&Kind::Service) && self.synced.contains(&Kind::EndpointSlice)
    }

    /// Whether a pod that starts now has its network.
    pub(crate) fn serves(&self) -> bool {
        self.applied && self.plan.mtu > 0 && !self.records.usage().is_empty()
    }

    async fn announce_ready(&mut self) {
        if !self.serves() || *self.ready.borrow() {
            return;
        }
        // pods that went while no agent ran are dealt with before new ones come
        self.collect_pods().await;
        if let Err(e) = self.write_conf() {
            error!("{e}");
            self.trouble("CNI configuration", vec![e.to_string()]);
            return;
        }
        info!(pods = self.records.len(), mtu = self.plan.mtu, "ready");
        self.ready.send_replace(true);
    }

    /// The whole comparison, from time to time: what no event told is found here.
    async fn compare(&mut self) {
        if self.plan.mtu > 0 {
            self.network().await;
            self.collect_pods().await;
        }
        if !self.dirty.is_empty() {
            self.apply_services().await;
        }
        if self.applied {
            self.serve_names().await;
        }
        let now = crate::clock::seconds();
        for (translations, counted) in self.translations.iter_mut().zip(&mut self.translated) {
            match translations.collect(now, &Timeouts::default()) {
                Ok(count) => *counted = count,
                Err(e) => warn!("{e}"),
            }
        }
        self.announce_ready().await;
        if *self.ready.borrow() {
            let kept = self.write_conf();
            self.trouble(
                "CNI configuration",
                kept.err().map(|e| e.to_string()).into_iter().collect(),
            );
        }
    }

    /// For jobs.
    pub(crate) fn devices(&self) -> Devices {
        Devices { link: self.link.clone(), attacher: self.attacher.clone() }
    }

    pub(crate) fn kernel_config(&self) -> KernelConfig {
        KernelConfig {
            nat_port_min: self.config.nat_ports.min,
            nat_port_max: self.config.nat_ports.max,
            flags: self.datapath.config().flags,
            ..KernelConfig::default()
        }
    }

    fn report_flows(&mut self, on: bool) {
        let mut config = self.datapath.config();
        config.flags =
            if on { config.flags | CONFIG_EVENTS_NEW } else { config.flags & !CONFIG_EVENTS_NEW };
        if let Err(e) = self.datapath.set_config(config) {
            warn!("{e}");
        }
    }

    /// Notes what is wrong with a part, says what is new of it in the log, and forgets what was.
    pub(crate) fn trouble(&mut self, part: &'static str, now: Vec<String>) {
        let before = self.troubles.remove(part).unwrap_or_default();
        for sentence in now.iter().filter(|s| !before.contains(s)) {
            warn!("{sentence}");
        }
        if !now.is_empty() {
            self.troubles.insert(part, now);
        }
    }
}

pub(crate) fn is_dns(name: &ObjectName) -> bool {
    (name.namespace.as_str(), name.name.as_str()) == DNS_SERVICE
}
