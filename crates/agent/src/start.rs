//! From a configuration to a running agent.

use std::os::fd::OwnedFd;
use std::sync::{Arc, RwLock};

use fairlead_cni::ipam::Records;
use fairlead_cni::protocol::{Failure, Request, Response, code};
use fairlead_cni::{server, spool};
use fairlead_datapath::{Datapath, Parts, check_kernel, ensure_bpffs, find_cgroup};
use fairlead_dns::core::{Resolvers, Zone};
use fairlead_dns::server::{Limits, Server};
use fairlead_link::Handle;
use fairlead_model::Event;
use fairlead_observe::events::Events;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::config::Config;
use crate::names::NameTable;
use crate::node::{Agent, Made, Message};
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
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let kernel = check_kernel()?;
    std::fs::create_dir_all(&config.run_dir).map_err(Error::file(&config.run_dir))?;
    // bound first: from here on plugins wait for us instead of finding nobody
    let cni = server::Server::bind(&config.cni_socket())?;
    ensure_bpffs(&config.bpffs)?;
    let cgroup = match &config.cgroup {
        Some(path) => path.clone(),
        None => find_cgroup(&config.cgroup_root)?,
    };
    let (datapath, parts) = Datapath::open(&config.bpffs, &config.maps)?;
    for other in datapath.other_layouts() {
        warn!("{other} was left by another version: connections that it translates are not taken over");
    }
    let zone_config = fairlead_dns::core::Config {
        cluster_domain: config.cluster_domain.clone(),
        ..fairlead_dns::core::Config::default()
    };
    let zone = Arc::new(RwLock::new(Zone::new(&zone_config)?));
    let dns = Server::bind(&[], zone.clone(), resolvers(&config), Limits::default())?;
    let records = Records::open(&config.records(), &store::read_cidrs(&config.cidrs()), store::boot_seed())?;
    let names = Arc::new(RwLock::new(NameTable::default()));
    let recent = Arc::new(Events::new(RECENT_FLOWS));
    let (inbox, messages) = mpsc::channel(64);
    let (ready, is_ready) = watch::channel(false);
    let ring = Parts::events(parts.events).map_err(Error::file(datapath.map_dir()))?;
    let mut agent = Agent::new(Made {
        link: Handle::new()?,
        datapath,
        balancer: parts.balancer,
        translations: parts.translations,
        records,
        zone,
        dns,
        names: names.clone(),
        cgroup: cgroup.display().to_string(),
        kernel,
        source,
        ready,
        config: config.clone(),
    });
    agent.takeover(&cgroup).await?;
    tokio::spawn(flows::read(ring, recent.clone(), names));
    local::serve(&config.agent_socket(), inbox.clone(), recent.clone()).await?;
    web::serve(config.metrics_address, inbox.clone(), is_ready).await?;
    serve_cni(cni, config, inbox);
    agent.run(events, messages, recent.followers(), shutdown).await
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
        info!(version = env!("CARGO_PKG_VERSION"), kernel = self.kernel, pods = self.records.len(), "datapath loaded");
        Ok(())
    }
}

/// The plugin's requests, as messages to the agent.
struct Plugin {
    inbox: mpsc::Sender<Message>,
}

impl server::Agent for Plugin {
    async fn handle(&self, request: Request, netns: Option<OwnedFd>) -> Response {
        let ending = || Response::Error(Failure::new(code::TRY_AGAIN, "Fairlead's agent is ending"));
        let (reply, response) = oneshot::channel();
        if self.inbox.send(Message::Cni { request, netns, reply }).await.is_err() {
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
            Ok(drained) if drained.done > 0 => info!(pods = drained.done, "detached pods that went meanwhile"),
            Ok(_) => {}
            Err(e) => warn!("{e}"),
        }
        cni.serve(plugin).await;
    });
}
