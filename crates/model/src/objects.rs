//! What the rest of the code knows of Kubernetes objects: only the fields that a network reads.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectName {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A transport protocol, with the API's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `TCP`, IP protocol 6.
    Tcp,
    /// `UDP`, IP protocol 17.
    Udp,
    /// `SCTP`, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// The IP protocol number (IANA).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// `spec.type` of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceType {
    /// Reached at its cluster addresses.
    ClusterIp,
    /// Also at a port of every node.
    NodePort,
    /// Also at addresses outside the cluster.
    LoadBalancer,
    /// An alias: `spec.externalName`.
    ExternalName(String),
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ObjectName,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.clusterIPs`; empty for headless and ExternalName Services.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready_addresses: bool,
}

/// One of a Service's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// `name`; empty when the Service has one unnamed port.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: u16,
}

/// An EndpointSlice of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Its own name.
    pub name: ObjectName,
    /// The Service's name: label `kubernetes.io/service-name`, in the slice's namespace.
    pub service: String,
    /// `ports`; a port without a number is left out.
    pub ports: Vec<EndpointPort>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
}

/// A port of every endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// `name`, as of the Service's port.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: u16,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `addresses`; consumers use the first (EndpointSlice API: all are fungible).
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`; unset means true.
    pub ready: bool,
    /// `conditions.serving`; unset means as `ready`.
    pub serving: bool,
    /// `conditions.terminating`; unset means false.
    pub terminating: bool,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `nodeName`.
    pub node_name: Option<String>,
    /// `targetRef` where it names a Pod.
    pub pod: Option<ObjectName>,
}

/// A Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// `status.addresses` of type InternalIP, in order.
    pub internal_ips: Vec<IpAddr>,
    /// `status.addresses` of type ExternalIP, in order.
    pub external_ips: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
}

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: ObjectName,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.nodeName`; empty while unscheduled.
    pub node_name: String,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `status.podIPs`.
    pub ips: Vec<IpAddr>,
    /// Whether `status.phase` is Succeeded or Failed: its address is no longer its own.
    pub finished: bool,
}

/// An object of any kind that the network reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Node.
    Node(Node),
    /// A Pod.
    Pod(Pod),
    /// A Namespace, by name.
    Namespace(String),
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Service.
    Service,
    /// EndpointSlice.
    EndpointSlice,
    /// Node.
    Node,
    /// Pod.
    Pod,
    /// Namespace.
    Namespace,
}

impl Kind {
    /// Every kind that is watched.
    pub const ALL: [Kind; 5] =
        [Kind::Service, Kind::EndpointSlice, Kind::Node, Kind::Pod, Kind::Namespace];
}

/// What a watch of the API says, in the order in which it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The object exists, as given.
    Apply(Object),
    /// The object is gone; cluster-scoped kinds have an empty namespace.
    Delete(Kind, ObjectName),
    /// A list of this kind begins: what it does not name until [`Event::Synced`] is gone.
    Restart(Kind),
    /// All objects of this kind that existed at the time of the list have been said.
    Synced(Kind),
}

impl Object {
    /// The object's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Service(_) => Kind::Service,
            Object::EndpointSlice(_) => Kind::EndpointSlice,
            Object::Node(_) => Kind::Node,
            Object::Pod(_) => Kind::Pod,
            Object::Namespace(_) => Kind::Namespace,
        }
    }

    /// The object's name; cluster-scoped kinds have an empty namespace.
    pub fn name(&self) -> ObjectName {
        match self {
            Object::Service(o) => o.name.clone(),
            Object::EndpointSlice(o) => o.name.clone(),
            Object::Pod(o) => o.name.clone(),
            Object::Node(o) => ObjectName::new("", &o.name),
            Object::Namespace(name) => ObjectName::new("", name),
        }
    }
}
