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
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::Error;
use crate::jobs::{Asked, Outcome};
use crate::node::Agent;

impl Agent {
    /// A request of the plugin: answered at once, or by a job's outcome.
    pub(crate) fn cni(&mut self, asked: Asked) {
        match asked.request.command {
            Command::Add | Command::Del | Command::Check => self.ask(asked),
            Command::Gc => self.gc(asked),
            Command::Status => {
                let response = respond(self.can_add().map(|()| Response::Done));
                asked.answer(response);
            }
        }
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

    /// Requests for one attachment take turns.
    fn ask(&mut self, asked: Asked) {
        if let Some(asked) = self.jobs.admit(asked) {
            self.begin(asked);
        }
    }

    fn begin(&mut self, asked: Asked) {
        match asked.request.command {
            Command::Add => self.begin_add(asked),
            Command::Check => self.begin_check(asked),
            _ => self.begin_removal(asked.attachment(), asked.reply, Response::Done),
        }
    }

    /// Answers, then it is the turn of who waits for the same attachment.
    fn finish(
        &mut self,
        attachment: &Attachment,
        reply: oneshot::Sender<Response>,
        response: Response,
    ) {
        let _ = reply.send(response);
        if let Some(next) = self.jobs.end(attachment) {
            self.begin(next);
        }
    }

    /// A job came back.
    pub(crate) fn conclude(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Attached { asked, record, known, result } => {
                self.attached(asked, &record, known, result);
            }
            Outcome::Checked { asked, record, result } => {
                let right = self.compare_pod(&record, result);
                let attachment = asked.attachment();
                self.finish(&attachment, asked.reply, respond(right.map(|()| Response::Done)));
            }
            Outcome::Detached { attachment, reply, answer, result } => {
                let response = self.detached(&attachment, answer, result);
                self.finish(&attachment, reply, response);
            }
            Outcome::Facts { facts, reply } => {
                let _ = reply.send(Box::new(self.status(facts)));
            }
        }
    }

    /// The record first: an address is on file before anything has it.
    fn begin_add(&mut self, mut asked: Asked) {
        let (record, known, netns) = match self.record(&mut asked) {
            Ok(prepared) => prepared,
            Err(failure) => {
                let attachment = asked.attachment();
                return self.finish(&attachment, asked.reply, failure.into());
            }
        };
        let devices = self.devices();
        self.jobs.start(async move {
            let result = devices.attach_pod(&spec(&record), &netns).await;
            Outcome::Attached { asked, record, known, result }
        });
    }

    fn record(&mut self, asked: &mut Asked) -> Result<(Record, bool, OwnedFd), Failure> {
        self.can_add()?;
        let netns = asked.netns.take().ok_or_else(no_netns)?;
        let attachment = asked.attachment();
        let known = self.records.get(&attachment).is_some();
        let wanted = Wanted {
            host_link: host_link_name(&asked.request.container_id, &asked.request.ifname),
            attachment,
            pod: asked.request.pod.clone(),
            mtu: self.plan.mtu,
        };
        let record = self.records.add(wanted, Instant::now()).map_err(failure)?.clone();
        Ok((record, known, netns))
    }

    /// The address last: nothing reaches a pod before its programs are there.
    fn attached(
        &mut self,
        asked: Asked,
        record: &Record,
        known: bool,
        result: Result<PodLink, Error>,
    ) {
        let attachment = asked.attachment();
        let placed = result.and_then(|link| {
            self.place(record, link.host_ifindex)?;
            Ok(link)
        });
        match placed {
            Ok(link) => {
                debug!(pod = %pod_name(record), link = record.host_link, "pod attached");
                let response = Response::Added(added(record, &link, &asked.request.netns));
                self.finish(&attachment, asked.reply, response);
            }
            // a pod that was there before this retry keeps what it has
            Err(e) if known => self.finish(&attachment, asked.reply, failure(e).into()),
            Err(e) => self.begin_removal(attachment, asked.reply, failure(e).into()),
        }
    }

    fn place(&mut self, record: &Record, ifindex: u32) -> Result<(), Error> {
        for ip in record.addresses.iter() {
            self.datapath.put_endpoint(ip.into(), endpoint(record, ifindex))?;
        }
        self.name_pod(record, ifindex);
        Ok(())
    }

    fn name_pod(&self, record: &Record, ifindex: u32) {
        let mut names = self.names.write().expect(crate::NOT_POISONED);
        names.set_pod(record.addresses.iter(), &pod_name(record), ifindex, &record.host_link);
    }

    /// Everything of an attachment goes; what is gone already is fine. The address first, so that
    /// no packet comes to a link that is half gone.
    fn begin_removal(
        &mut self,
        attachment: Attachment,
        reply: oneshot::Sender<Response>,
        answer: Response,
    ) {
        let link = host_link_name(&attachment.container_id, &attachment.ifname);
        let record = self.records.get(&attachment).cloned();
        for ip in record.iter().flat_map(|r| r.addresses.iter()) {
            if let Err(e) = self.datapath.endpoints().remove(&Addr::from(ip).0) {
                return self.finish(&attachment, reply, failure(e).into());
            }
        }
        let devices = self.devices();
        self.jobs.start(async move {
            let result = devices.detach_pod(&link).await;
            Outcome::Detached { attachment, reply, answer, result }
        });
    }

    /// The record last: while a link may be there, nobody else gets its address.
    fn detached(
        &mut self,
        attachment: &Attachment,
        answer: Response,
        result: Result<(), Error>,
    ) -> Response {
        let released =
            result.and_then(|()| Ok(self.records.release(attachment, Instant::now())?));
        match released {
            Ok(record) => {
                if let Some(record) = record {
                    debug!(pod = %pod_name(&record), link = record.host_link, "pod detached");
                    let mut names = self.names.write().expect(crate::NOT_POISONED);
                    names.remove_pod(record.addresses.iter(), &record.host_link);
                }
                answer
            }
            // an ADD that failed says why it did
            Err(e) if matches!(answer, Response::Error(_)) => {
                warn!("{e}");
                answer
            }
            Err(e) => failure(e).into(),
        }
    }

    fn begin_check(&mut self, mut asked: Asked) {
        let attachment = asked.attachment();
        let unknown = || {
            let why = format!("container {} is not attached", attachment.container_id);
            Failure::new(code::UNKNOWN_CONTAINER, why)
        };
        let netns = asked.netns.take().ok_or_else(no_netns);
        let known = self.records.get(&attachment).cloned().ok_or_else(unknown);
        let (netns, record) = match netns.and_then(|netns| Ok((netns, known?))) {
            Ok(found) => found,
            Err(failure) => return self.finish(&attachment, asked.reply, failure.into()),
        };
        let link = self.link.clone();
        self.jobs.start(async move {
            let result = link.check_pod(netns.as_fd(), &spec(&record)).await.map_err(Error::from);
            Outcome::Checked { asked, record, result }
        });
    }

    fn compare_pod(
        &mut self,
        record: &Record,
        result: Result<PodLink, Error>,
    ) -> Result<(), Failure> {
        let wrong = |why: String| Failure::new(code::CHECK_FAILED, why);
        let link = result.map_err(|e| wrong(e.to_string()))?;
        for ip in record.addresses.iter() {
            let found = self.datapath.endpoints().get(&Addr::from(ip).0);
            if found.is_none_or(|e| e.ifindex != link.host_ifindex) {
                return Err(wrong(format!("the datapath does not know {ip} of this pod")));
            }
        }
        Ok(())
    }

    /// What is worked on is newer than the runtime's list, or on its way out.
    fn gc(&mut self, asked: Asked) {
        let valid = &asked.request.valid_attachments;
        let stale: Vec<Attachment> = self.idle().filter(|a| !valid.contains(a)).cloned().collect();
        let removals: Vec<_> = stale.into_iter().map(|a| self.remove(a)).collect();
        tokio::spawn(async move {
            let mut response = Response::Done;
            for removal in removals {
                if let Ok(failed @ Response::Error(_)) = removal.await {
                    response = failed;
                }
            }
            asked.answer(response);
        });
    }

    /// Attachments on record that nobody works on.
    fn idle(&self) -> impl Iterator<Item = &Attachment> {
        self.records.iter().map(|r| &r.attachment).filter(|a| !self.jobs.is_busy(a))
    }

    /// As a DEL of the plugin does.
    fn remove(&mut self, attachment: Attachment) -> oneshot::Receiver<Response> {
        let mut request = Request::new(Command::Del);
        (request.container_id, request.ifname) = (attachment.container_id, attachment.ifname);
        let (reply, response) = oneshot::channel();
        self.ask(Asked { request, netns: None, reply });
        response
    }

    /// After a start: the datapath's endpoints become those of the records whose links are there.
    pub(crate) async fn recover_pods(&mut self) -> Result<(), Error> {
        let links: BTreeMap<String, u32> =
            self.link.pod_links().await?.into_iter().map(|l| (l.name, l.ifindex)).collect();
        let mut wanted = BTreeMap::new();
        let devices = self.devices();
        let records: Vec<Record> = self.records.iter().cloned().collect();
        for record in records {
            let Some(ifindex) = links.get(&record.host_link).copied() else { continue };
            devices.attach_device(&record.host_link, ifindex, Role::Pod).await?;
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
        let lost = |r: &Record| links.iter().all(|l| l.name != r.host_link);
        let unknown =
            |r: &Record| !self.pods.contains(&ObjectName::new(&r.pod.namespace, &r.pod.name));
        let gone: Vec<Attachment> = self
            .idle()
            .filter(|a| self.records.get(a).is_some_and(|r| lost(r) && unknown(r)))
            .cloned()
            .collect();
        for attachment in gone {
            info!(
                container = attachment.container_id,
                "a pod went without a DEL: its address is free again"
            );
            let removal = self.remove(attachment);
            tokio::spawn(async move {
                if let Ok(Response::Error(f)) = removal.await {
                    warn!("{}", f.msg);
                }
            });
        }
    }
}

fn respond(result: Result<Response, Failure>) -> Response {
    result.unwrap_or_else(Response::Error)
}

fn no_netns() -> Failure {
    Failure::new(code::INVALID_ENVIRONMENT, "CNI_NETNS is missing")
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
        dst: if ip.is_ipv4() {
            IpNet::V4(ipnet::Ipv4Net::default())
        } else {
            IpNet::V6(ipnet::Ipv6Net::default())
        },
        gw: Some(gateway(ip)),
        mtu: None,
    });
    Added { interfaces: vec![host, pod], ips: ips.collect(), routes: routes.collect() }
}
