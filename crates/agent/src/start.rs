//! From a configuration to a running agent.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use fairlead_cni::ipam::Records;
use fairlead_cni::protocol::{Failure, Request, Response, code};
use fairlead_cni::{server, spool};
use fairlead_datapath::{Datapath, Parts, check_cgroup, check_kernel, ensure_bpffs, find_cgroup};
use fairlead_dns::core::{Resolvers, Zone};
use fairlead_dns::server::{Limits, Server};
use fairlead_link::Handle;
use fairlead_model::Event;
use fairlead_observe::events::Events;
use rustix::thread::CapabilitySet;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::config::Config;
use crate::jobs::Asked;
use crate::names::NameTable;
use crate::node::{Agent, Made, Message};
use crate::undo::Undo;
use crate::{Error, Source, flows, local, store, web};

/// Flows that `fairlead observe` can look back on.
const RECENT_FLOWS: usize = 1024;

/// Runs the agent until `shutdown` is true. The kernel goes on forwarding afterwards.
pub async fn run(
    config: Config,
    events: mpsc::Receiver<Event>,
    source: Source,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    let checked = check(&config)?;
    let mut undo = Undo::before(&config);
    // bound first: from here on plugins wait for us instead of finding nobody
    let cni = std::fs::create_dir_all(&config.run_dir)
        .map_err(|source| Error::RunDir { path: config.run_dir.clone(), source })
        .and_then(|()| {
            server::Server::bind(&config.cni_socket())
                .map_err(|e| Error::in_run_dir(&config.run_dir, e))
        })
        .inspect_err(|_| undo.run_dir())?;
    let begun = begin(&config, checked, source, &mut undo).await.inspect_err(|_| undo.all())?;
    serve_cni(cni, config.clone(), begun.inbox);
    begun.agent.run(events, begun.messages, begun.recent.followers(), shutdown).await
}

/// What a start needs to know before it changes anything.
struct Checked {
    kernel: String,
    cgroup: PathBuf,
    zone: Zone,
}

/// Everything that can be refused without touching the node.
fn check(config: &Config) -> Result<Checked, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let kernel = check_kernel()?;
    check_rights()?;
    let cgroup = match &config.cgroup {
        Some(path) => check_cgroup(path).map(|()| path.clone())?,
        None => find_cgroup(&config.cgroup_root)?,
    };
    let zone_config = fairlead_dns::core::Config {
        cluster_domain: config.cluster_domain.clone(),
        ..fairlead_dns::core::Config::default()
    };
    Ok(Checked { kernel, cgroup, zone: Zone::new(&zone_config)? })
}

/// CAP_SYS_ADMIN (namespaces, mounts) includes CAP_BPF and CAP_PERFMON (capabilities(7)).
fn check_rights() -> Result<(), Error> {
    let needed = [
        (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
    ];
    // where nobody can say, the kernel will
    let Ok(has) = rustix::thread::capabilities(None) else { return Ok(()) };
    let missing = needed.iter().find(|(cap, _)| !has.effective.contains(*cap));
    missing.map_or(Ok(()), |(_, name)| Err(Error::Rights(name)))
}

/// An agent that has taken over, and its inbox.
struct Begun {
    agent: Agent,
    inbox: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    recent: Arc<Events>,
}

/// What is most likely refused comes first, what is hardest to take back last.
async fn begin(
    config: &Config,
    checked: Checked,
    source: Source,
    undo: &mut Undo<'_>,
) -> Result<Begun, Error> {
    let (inbox, messages) = mpsc::channel(64);
    let (ready, is_ready) = watch::channel(false);
    let recent = Arc::new(Events::new(RECENT_FLOWS));
    web::serve(config.metrics_address, inbox.clone(), is_ready).await?;
    local::serve(&config.agent_socket(), inbox.clone(), recent.clone()).await?;
    let zone = Arc::new(RwLock::new(checked.zone));
    let dns = Server::bind(&[], zone.clone(), resolvers(config), Limits::default())?;
    let records = Records::open(
        &config.records(),
        &store::read::<Vec<ipnet::IpNet>>(&config.cidrs()),
        store::boot_seed(),
    )?;
    let names = Arc::new(RwLock::new(NameTable::default()));
    let link = Handle::new()?;
    undo.mounted = ensure_bpffs(&config.bpffs)?;
    let (datapath, parts) = Datapath::open(&config.bpffs, &config.maps)?;
    for other in datapath.other_layouts() {
        warn!(
            "{other} was left by another version: connections that it translates are not taken over"
        );
    }
    let ring = Parts::events(parts.events).map_err(Error::file(datapath.map_dir()))?;
    let mut agent = Agent::new(Made {
        link,
        attacher: datapath.attacher()?,
        datapath,
        balancer: parts.balancer,
        translations: parts.translations,
        records,
        zone,
        dns,
        names: names.clone(),
        cgroup: checked.cgroup.display().to_string(),
        kernel: checked.kernel,
        source,
        ready,
        config: config.clone(),
    });
    agent.takeover(&checked.cgroup).await?;
    tokio::spawn(flows::read(ring, recent.clone(), names));
    Ok(Begun { agent, inbox, messages, recent })
}

fn resolvers(config: &Config) -> Resolvers {
    let text = std::fs::read_to_string(&config.resolv_conf).unwrap_or_else(|e| {
        warn!("{}: {e}: names outside the cluster are not resolved", config.resolv_conf.display());
        String::new()
    });
    Resolvers::parse(&text, &[])
}

impl Agent {
    /// New programs in place of the old ones, over the same maps.
    async fn takeover(&mut self, cgroup: &std::path::Path) -> Result<(), Error> {
        let config = self.kernel_config();
        let there = self.datapath.config();
        self.datapath.set_config(fairlead_datapath::contract::Config {
            vxlan_ifindex: there.vxlan_ifindex,
            flags: 0,
            ..config
        })?;
        self.recover_pods().await?;
        self.datapath.attach_sockets(cgroup)?;
        self.dns_addresses = store::read(&self.config.dns_addresses());
        if !self.dns_addresses.is_empty() {
            // names outside the cluster are answered before the API is reached
            self.serve_names().await;
        }
        info!(
            version = env!("CARGO_PKG_VERSION"),
            kernel = self.kernel,
            pods = self.records.len(),
            "datapath loaded"
        );
        Ok(())
    }
}

/// The plugin's requests, as messages to the agent.
struct Plugin {
    inbox: mpsc::Sender<Message>,
}

impl server::Agent for Plugin {
    async fn handle(&self, request: Request, netns: Option<OwnedFd>) -> Response {
        let ending =
            || Response::Error(Failure::new(code::TRY_AGAIN, "Fairlead's agent is ending"));
        let (reply, response) = oneshot::channel();
        if self.inbox.send(Message::Cni(Asked { request, netns, reply })).await.is_err() {
            return ending();
        }
        response.await.unwrap_or_else(|_| ending())
    }
}

/// DELs that were left for us, then requests as they come.
fn serve_cni(cni: server::Server, config: Config, inbox: mpsc::Sender<Message>) {
    tokio::spawn(async move {
        let plugin = Arc::new(Plugin { inbox });
        match spool::drain(&config.spool(), &*plugin).await {
            Ok(drained) if drained.done > 0 => {
                info!(pods = drained.done, "detached pods that went meanwhile")
            }
            Ok(_) => {}
            Err(e) => warn!("{e}"),
        }
        cni.serve(plugin).await;
    });
}
