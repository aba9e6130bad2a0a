//! The node's side of the network: devices, ways to other nodes, routes.

use std::collections::BTreeSet;

use fairlead_cni::conf;
use fairlead_datapath::Role;
use fairlead_datapath::contract::Config as KernelConfig;
use fairlead_link::{Route, VxlanSpec};
use fairlead_model::Kind;
use tracing::info;

use crate::Error;
use crate::node::Agent;
use crate::ways::{self, Input, Plan, TUNNEL};

impl Agent {
    /// Computes the ways again and makes the node equal to them.
    pub(crate) async fn network(&mut self) {
        let mut troubles = Vec::new();
        match self.make_network().await {
            Ok(found) => troubles.extend(found),
            Err(e) => troubles.push(e.to_string()),
        }
        self.trouble("network", troubles);
    }

    async fn make_network(&mut self) -> Result<Vec<String>, Error> {
        // half a list would take the ways to the other half away
        if !self.synced.contains(&Kind::Node) {
            return Ok(Vec::new());
        }
        let Some(me) = self.nodes.get(&self.config.node_name).cloned() else {
            return Ok(vec![format!(
                "the API has no node '{}': give --node-name (NODE_NAME) the name that kubectl get nodes shows",
                self.config.node_name
            )]);
        };
        self.link.prepare_host().await?;
        let devices = self.link.devices().await?;
        let default_devices = self.link.default_route_devices().await?;
        let mut input = Input {
            me: &me,
            nodes: &self.nodes,
            devices: &devices,
            default_devices: &default_devices,
            named_devices: &self.config.devices,
            tunnel: None,
            routing: self.config.routing,
            masquerade: self.config.masquerade,
            mtu: self.config.mtu,
        };
        let mut plan = ways::plan(&input);
        if let Some(mtu) = plan.tunnel_mtu {
            let spec = VxlanSpec { name: TUNNEL.into(), port: self.config.vxlan_port, mtu };
            let tunnel = self.link.ensure_vxlan(&spec).await?;
            self.devices().attach_device(TUNNEL, tunnel, Role::Overlay).await?;
            input.tunnel = Some(tunnel);
            plan = ways::plan(&input);
        }
        let tunnel = input.tunnel;
        for missing in
            self.config.devices.iter().filter(|n| plan.uplinks.iter().all(|u| &u.name != *n))
        {
            plan.problems
                .push(format!("device {missing} of the configuration is not there, or down"));
        }
        self.program(&plan, tunnel).await?;
        let mut troubles = self.route(&plan).await?;
        if tunnel.is_none() {
            self.devices().detach_device(TUNNEL).await?;
            self.link.remove_link(TUNNEL).await?;
        }
        troubles.extend(plan.problems.iter().cloned());
        if plan.mtu != self.plan.mtu {
            info!(mtu = plan.mtu, because = plan.mtu_reason, "MTU of new pods");
        }
        self.plan = plan;
        Ok(troubles)
    }

    async fn program(&mut self, plan: &Plan, tunnel: Option<u32>) -> Result<(), Error> {
        let config = KernelConfig { vxlan_ifindex: tunnel.unwrap_or(0), ..self.kernel_config() };
        if self.datapath.config() != config {
            self.datapath.set_config(config)?;
        }
        self.datapath.sync_uplinks(&plan.uplink_rows())?;
        for uplink in &plan.uplinks {
            let (name, ifindex) = (&uplink.name, uplink.ifindex);
            self.devices().attach_device(name, ifindex, Role::Uplink).await?;
        }
        self.datapath.sync_nodes(&plan.rows)?;
        let mut keep: BTreeSet<String> = plan.uplinks.iter().map(|u| u.name.clone()).collect();
        keep.insert(TUNNEL.into());
        keep.extend(self.records.iter().map(|r| r.host_link.clone()));
        self.datapath.prune_devices(&keep)?;
        Ok(())
    }

    async fn route(&mut self, plan: &Plan) -> Result<Vec<String>, Error> {
        let cidrs: Vec<_> = self.records.usage().iter().map(|u| u.cidr).collect();
        let mut wanted = plan.routes.clone();
        // a packet for an address that no pod has is refused, where it would else leave by the
        // default route and come back, or be answered by nobody
        wanted.extend(cidrs.iter().copied().map(Route::unreachable));
        let changes = self.link.sync_routes(&wanted).await?;
        // what is in the way of the node's own CIDRs is named as an overlap below
        let foreign = changes.conflicts.iter().filter(|c| !cidrs.contains(&c.destination));
        let mut troubles: Vec<String> = foreign.map(ToString::to_string).collect();
        troubles.extend(changes.failed.iter().map(ToString::to_string));
        troubles.extend(self.link.overlaps(&cidrs).await?);
        Ok(troubles)
    }

    /// The files that make the container runtime call us.
    pub(crate) fn write_conf(&self) -> Result<(), Error> {
        if let Some(plugin) = &self.config.cni_plugin {
            conf::install(plugin, &self.config.cni_bin_dir)?;
        }
        conf::write(&self.config.cni_conf_dir, &conf::Conf::default())?;
        Ok(())
    }
}
