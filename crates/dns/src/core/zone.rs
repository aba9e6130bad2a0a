//! The cluster's zone: a name and a type in, an answer out.

use domain::base::Name;
use domain::base::iana::{OptRcode, Rtype};
use fairlead_model::{Addr, Event, ObjectName};
use ipnet::IpNet;

use super::answer::{Answer, Data, DnsName, Outcome, RrSet};
use super::lookup::Found;
use super::names;
use super::reverse;
use super::store::{Holder, Store};
use crate::Error;

/// Aliases that lead to aliases are followed this far.
const MAX_ALIASES: usize = 8;

/// What a zone is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's domain, such as `cluster.local`.
    pub cluster_domain: String,
    /// Time to live of the cluster's names and of their absence, in seconds.
    pub ttl: u32,
    /// Prefixes of which no other server knows names: what is not known here does not exist. Addresses
    /// that are known here are answered in any prefix; all others are forwarded.
    pub reverse: Vec<IpNet>,
    /// The Service at which this zone is served; the zone's NS record names it.
    pub server: ObjectName,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            cluster_domain: "cluster.local".into(),
            ttl: 5,
            reverse: Vec::new(),
            server: ObjectName::new("kube-system", "kube-dns"),
        }
    }
}

/// The names of a cluster.
pub struct Zone {
    pub(super) store: Store,
    pub(super) origin: DnsName,
    pub(super) origin_labels: usize,
    pub(super) server: DnsName,
    ttl: u32,
    reverse: Vec<IpNet>,
}

impl Zone {
    /// A zone that knows of no objects yet.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let bad = || Error::ClusterDomain(config.cluster_domain.clone());
        let origin = names::parse(&config.cluster_domain).ok_or_else(bad)?;
        let server = [&*config.server.name, &*config.server.namespace, "svc"];
        Ok(Zone {
            store: Store::default(),
            origin_labels: origin.label_count() - 1,
            server: names::below(&server, &origin).ok_or_else(bad)?,
            origin,
            ttl: config.ttl,
            reverse: config.reverse.clone(),
        })
    }

    /// Takes in what a watch of the API says. Pods and Nodes make no names.
    pub fn apply(&mut self, event: &Event) {
        self.store.apply(event);
    }

    /// Whether Services, EndpointSlices and Namespaces have been read once.
    pub fn ready(&self) -> bool {
        self.store.ready()
    }

    /// Answers a question of class IN. The name's case does not matter.
    pub fn answer(&self, name: &Name<[u8]>, rtype: Rtype) -> Outcome {
        let name = names::canonical(name);
        if name.ends_with(&self.origin) {
            return match self.ready() {
                true => Outcome::Answer(self.cluster(name, rtype)),
                false => Outcome::NotReady,
            };
        }
        match names::labels(name.for_slice()).and_then(|l| reverse::prefix(&l)) {
            Some(net) => self.reverse(&name, &net, rtype),
            None => Outcome::Forward,
        }
    }

    fn cluster(&self, mut name: DnsName, rtype: Rtype) -> Answer {
        let mut answer = Answer::empty(OptRcode::NOERROR);
        for _ in 0..MAX_ALIASES {
            match self.find(&name, rtype) {
                Found::Alias(target) => {
                    let owner = std::mem::replace(&mut name, target);
                    answer.answers.push(self.set(owner, vec![Data::Cname(name.clone())]));
                    if matches!(rtype, Rtype::CNAME | Rtype::ANY) {
                        return answer;
                    }
                    if !name.ends_with(&self.origin) {
                        answer.chase = Some(name);
                        return answer;
                    }
                }
                Found::Missing => return self.negative(answer, OptRcode::NXDOMAIN, &self.origin),
                Found::Node(data) if data.is_empty() => {
                    return self.negative(answer, OptRcode::NOERROR, &self.origin);
                }
                Found::Node(data) => {
                    answer.additional = self.glue(&data);
                    answer.answers.push(self.set(name, data));
                    return answer;
                }
            }
        }
        Answer::empty(OptRcode::SERVFAIL)
    }

    /// Addresses of the hosts that records name, where they are ours.
    fn glue(&self, data: &[Data]) -> Vec<RrSet> {
        let mut hosts: Vec<&DnsName> = data.iter().filter_map(Data::host).collect();
        hosts.dedup();
        let mut glue = Vec::new();
        for host in hosts {
            for rtype in [Rtype::A, Rtype::AAAA] {
                if let Found::Node(data) = self.find(host, rtype)
                    && !data.is_empty()
                {
                    glue.push(self.set(host.clone(), data));
                }
            }
        }
        glue
    }

    fn reverse(&self, name: &DnsName, net: &IpNet, rtype: Rtype) -> Outcome {
        let ours = self.reverse.iter().find(|r| r.contains(net));
        if !self.ready() {
            return Outcome::NotReady;
        }
        let holders = reverse::single(net).and_then(|ip| self.store.reverse.get(&Addr::from(ip)));
        if ours.is_none() && holders.is_none() {
            return Outcome::Forward;
        }
        // Without the family's two labels and the root.
        let below = name.label_count() - 3;
        // An address outside of our prefixes is a zone of its own.
        let cut = ours.map_or(0, |zone| below.saturating_sub(reverse::zone_labels(zone)));
        let apex = names::canonical(
            &name.iter_suffixes().nth(cut).expect("the cut is within the name's labels"),
        );
        let mut data: Vec<Data> = match (rtype, *name == apex) {
            (Rtype::PTR, _) => holders
                .into_iter()
                .flatten()
                .filter_map(|h| Some(Data::Ptr(names::below(&host(h), &self.origin)?)))
                .collect(),
            (_, true) => self.apex(rtype),
            _ => Vec::new(),
        };
        let exists = holders.is_some() || *name == apex || self.any_below(net);
        if exists && rtype == Rtype::ANY {
            data.push(Data::Hinfo);
        }
        let mut answer = Answer::empty(OptRcode::NOERROR);
        Outcome::Answer(match (exists, data.is_empty()) {
            (false, _) => self.negative(answer, OptRcode::NXDOMAIN, &apex),
            (true, true) => self.negative(answer, OptRcode::NOERROR, &apex),
            (true, false) => {
                answer.additional = self.glue(&data);
                answer.answers.push(self.set(name.clone(), data));
                answer
            }
        })
    }

    fn any_below(&self, net: &IpNet) -> bool {
        let range = Addr::from(net.network())..=Addr::from(net.broadcast());
        self.store.reverse.range(range).next().is_some()
    }

    fn negative(&self, mut answer: Answer, rcode: OptRcode, apex: &DnsName) -> Answer {
        answer.rcode = rcode;
        answer.authority.push(self.set(apex.clone(), vec![self.soa()]));
        answer
    }

    pub(super) fn soa(&self) -> Data {
        Data::Soa {
            server: self.server.clone(),
            mailbox: names::below(&["hostmaster"], &self.origin)
                .unwrap_or_else(|| self.origin.clone()),
            serial: self.store.serial,
            minimum: self.ttl,
        }
    }

    fn set(&self, owner: DnsName, data: Vec<Data>) -> RrSet {
        RrSet { owner, ttl: self.ttl, data }
    }
}

/// The labels of the name that an address has.
fn host(holder: &Holder) -> Vec<&str> {
    let service = [&*holder.service, &*holder.namespace, "svc"];
    holder.hostname.as_deref().into_iter().chain(service).collect()
}
