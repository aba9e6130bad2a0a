//! Pods come and go: the plugin's requests, and what a restart finds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use fairlead_cni::ipam::{Record, Wanted};
use fairlead_cni::protocol::{
    Added, Attachment, Command, Failure, Interface, Ip, Request, Response, Route, code,
};
use fairlead_datapath::Role;
use fairlead_datapath::contract::Endpoint;
use fairlead_link::{
    HOST_MAC, POD_GATEWAY_V4, POD_GATEWAY_V6, PodLink, PodLinkSpec, host_link_name,
};
use fairlead_model::{Addr, ObjectName};
use ipnet::IpNet;
use tracing::{debug, info, warn};

use crate::Error;
use crate::node::Agent;

impl Agent {
    /// One request of the plugin.
    pub(crate) async fn cni(&mut self, request: &Request, netns: Option<OwnedFd>) -> Response {
        let result = match request.command {
            Command::Add => self.add(request, netns).await.map(Response::Added),
            Command::Del => self.del(&attachment(request)).await.map(|()| Response::Done),
            Command::Check => self.check(request, netns).await.map(|()| Response::Done),
            Command::Gc => self.gc(&request.valid_attachments).await.map(|()| Response::Done),
            Command::Status => self.can_add().map(|()| Response::Done),
        };
        result.unwrap_or_else(Response::Error)
    }

    fn can_add(&self) -> Result<(), Failure> {
        if self.serves() {
            return Ok(());
        }
        let why = if self.records.usage().is_empty() {
            "the node has no pod CIDR yet"
        } else if self.plan.mtu == 0 {
            "the node itself is not known yet"
        } else {
            "Services and EndpointSlices have not all been read yet"
        };
        Err(Failure::new(code::TRY_AGAIN, format!("Fairlead's agent is starting: {why}"))
            .details("fairlead status on the node says more"))
    }

    async fn add(&mut self, request: &Request, netns: Option<OwnedFd>) -> Result<Added, Failure> {
        self.can_add()?;
        let netns = netns.ok_or_else(|| Failure::new(code::INVALID_ENVIRONMENT, "CNI_NETNS is missing"))?;
        let attachment = attachment(request);
        let known = self.records.get(&attachment).is_some();
        let wanted = Wanted {
            host_link: host_link_name(&request.container_id, &request.ifname),
            attachment: attachment.clone(),
            pod: request.pod.clone(),
            mtu: self.plan.mtu,
        };
        let record = self.records.add(wanted, Instant::now()).map_err(failure)?.clone();
        match self.wire(&record, &netns).await {
            Ok(link) => {
                debug!(pod = %pod_name(&record), link = record.host_link, "pod attached");
                Ok(added(&record, &link, &request.netns))
            }
            Err(e) => {
                // a pod that was there before this retry keeps what it has
                if !known && let Err(f) = self.del(&attachment).await {
                    warn!("{}", f.msg);
                }
                Err(failure(e))
            }
        }
    }

    /// Link, programs, then the address: nothing reaches a pod before its programs are there.
    async fn wire(&mut self, record: &Record, netns: &OwnedFd) -> Result<PodLink, Error> {
        let link = self.link.attach_pod(netns.as_fd(), &spec(record)).await?;
        self.datapath.attach_device(&record.host_link, link.host_ifindex, Role::Pod)?;
        for ip in record.addresses.iter() {
            self.datapath.put_endpoint(ip.into(), endpoint(record, link.host_ifindex))?;
        }
        self.name_pod(record, link.host_ifindex);
        Ok(link)
    }

    fn name_pod(&self, record: &Record, ifindex: u32) {
        let mut names = self.names.write().expect(crate::NOT_POISONED);
        names.set_pod(record.addresses.iter(), &pod_name(record), ifindex, &record.host_link);
    }

    /// Everything of an attachment goes; what is gone already is fine.
    async fn del(&mut self, attachment: &Attachment) -> Result<(), Failure> {
        let link = host_link_name(&attachment.container_id, &attachment.ifname);
        let record = self.records.get(attachment).cloned();
        for ip in record.iter().flat_map(|r| r.addresses.iter()) {
            self.datapath.endpoints().remove(&Addr::from(ip).0).map_err(failure)?;
        }
        self.link.detach_pod(&link).await.map_err(failure)?;
        self.datapath.detach_device(&link).map_err(failure)?;
        self.records.release(attachment, Instant::now()).map_err(failure)?;
        if let Some(record) = record {
            debug!(pod = %pod_name(&record), link, "pod detached");
            let mut names = self.names.write().expect(crate::NOT_POISONED);
            names.remove_pod(record.addresses.iter(), &link);
        }
        Ok(())
    }

    async fn check(&mut self, request: &Request, netns: Option<OwnedFd>) -> Result<(), Failure> {
        let wrong = |why: String| Failure::new(code::CHECK_FAILED, why);
        let netns = netns.ok_or_else(|| Failure::new(code::INVALID_ENVIRONMENT, "CNI_NETNS is missing"))?;
        let record = self.records.get(&attachment(request)).cloned().ok_or_else(|| {
            Failure::new(code::UNKNOWN_CONTAINER, format!("container {} is not attached", request.container_id))
        })?;
        let link = self.link.check_pod(netns.as_fd(), &spec(&record)).await.map_err(|e| wrong(e.to_string()))?;
        for ip in record.addresses.iter() {
            let found = self.datapath.endpoints().get(&Addr::from(ip).0);
            if found.is_none_or(|e| e.ifindex != link.host_ifindex) {
                return Err(wrong(format!("the datapath does not know {ip} of this pod")));
            }
        }
        Ok(())
    }

    async fn gc(&mut self, valid: &[Attachment]) -> Result<(), Failure> {
        let stale: Vec<Attachment> = self
            .records
            .iter()
            .map(|r| r.attachment.clone())
            .filter(|a| !valid.contains(a))
            .collect();
        for attachment in stale {
            self.del(&attachment).await?;
        }
        Ok(())
    }

    /// After a start: the datapath's endpoints become those of the records whose links are there.
    pub(crate) async fn recover_pods(&mut self) -> Result<(), Error> {
        let links: BTreeMap<String, u32> =
            self.link.pod_links().await?.into_iter().map(|l| (l.name, l.ifindex)).collect();
        let mut wanted = BTreeMap::new();
        let records: Vec<Record> = self.records.iter().cloned().collect();
        for record in records {
            let Some(ifindex) = links.get(&record.host_link).copied() else { continue };
            self.datapath.attach_device(&record.host_link, ifindex, Role::Pod)?;
            for ip in record.addresses.iter() {
                wanted.insert(Addr::from(ip).0, endpoint(&record, ifindex));
            }
            self.name_pod(&record, ifindex);
        }
        let changes = self.datapath.sync_endpoints(&wanted)?;
        if changes.removed > 0 {
            info!(removed = changes.removed, "addresses of pods that are gone");
        }
        Ok(())
    }

    /// Records whose link is gone and whose pod the API no longer has: their DEL never came.
    pub(crate) async fn collect_pods(&mut self) {
        if !self.synced.contains(&fairlead_model::Kind::Pod) {
            return;
        }
        let Ok(links) = self.link.pod_links().await else { return };
        let gone: Vec<Attachment> = self
            .records
            .iter()
            .filter(|r| links.iter().all(|l| l.name != r.host_link))
            .filter(|r| !self.pods.contains(&ObjectName::new(&r.pod.namespace, &r.pod.name)))
            .map(|r| r.attachment.clone())
            .collect();
        for attachment in gone {
            info!(container = attachment.container_id, "a pod went without a DEL: its address is free again");
            if let Err(f) = self.del(&attachment).await {
                warn!("{}", f.msg);
            }
        }
    }
}

fn attachment(request: &Request) -> Attachment {
    Attachment { container_id: request.container_id.clone(), ifname: request.ifname.clone() }
}

fn pod_name(record: &Record) -> ObjectName {
    ObjectName::new(&record.pod.namespace, &record.pod.name)
}

fn spec(record: &Record) -> PodLinkSpec {
    PodLinkSpec {
        host_name: record.host_link.clone(),
        pod_name: record.attachment.ifname.clone(),
        addresses: record.addresses.iter().collect(),
        mtu: record.mtu,
    }
}

fn endpoint(record: &Record, ifindex: u32) -> Endpoint {
    Endpoint {
        ifindex,
        pod: record.sequence as u32,
        pod_mac: spec(record).pod_mac(),
        host_mac: HOST_MAC,
        translated: 0,
    }
}

fn failure(e: impl std::fmt::Display) -> Failure {
    Failure::new(code::IO, e.to_string())
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|b| format!("{b:02x}")).join(":")
}

fn added(record: &Record, link: &PodLink, netns: &str) -> Added {
    let host = Interface {
        name: record.host_link.clone(),
        mac: mac(link.host_mac),
        mtu: Some(record.mtu),
        sandbox: None,
    };
    let pod = Interface {
        name: record.attachment.ifname.clone(),
        mac: mac(link.pod_mac),
        mtu: Some(record.mtu),
        sandbox: Some(netns.to_owned()),
    };
    let gateway = |ip: IpAddr| -> IpAddr {
        if ip.is_ipv4() { POD_GATEWAY_V4.into() } else { POD_GATEWAY_V6.into() }
    };
    let ips = record.addresses.iter().map(|ip| Ip {
        address: IpNet::from(ip),
        gateway: Some(gateway(ip)),
        interface: Some(1),
    });
    let routes = record.addresses.iter().map(|ip| Route {
        dst: if ip.is_ipv4() { IpNet::V4(ipnet::Ipv4Net::default()) } else { IpNet::V6(ipnet::Ipv6Net::default()) },
        gw: Some(gateway(ip)),
        mtu: None,
    });
    Added { interfaces: vec![host, pod], ips: ips.collect(), routes: routes.collect() }
}
