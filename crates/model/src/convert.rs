//! From the API's types to the model's, once, where objects arrive.
//!
//! Nothing here fails: the API server has validated what it serves, and a field that does not parse
//! is left out, as clients of the API are told to do with values that they do not know.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{
    Endpoint, EndpointPort, EndpointSlice, Node, ObjectName, Pod, Protocol, Service, ServicePort,
    ServiceType,
};

/// Label that names the Service of an EndpointSlice.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

fn name(meta: &ObjectMeta) -> ObjectName {
    ObjectName::new(
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn port(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|p| *p != 0)
}

fn ips<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<IpAddr> {
    texts.into_iter().filter_map(|t| t.parse().ok()).collect()
}

impl From<&core::Service> for Service {
    fn from(o: &core::Service) -> Self {
        let spec = o.spec.as_ref();
        let service_type = match spec.and_then(|s| s.type_.as_deref()) {
            Some("NodePort") => ServiceType::NodePort,
            Some("LoadBalancer") => ServiceType::LoadBalancer,
            Some("ExternalName") => ServiceType::ExternalName(
                spec.and_then(|s| s.external_name.clone()).unwrap_or_default(),
            ),
            _ => ServiceType::ClusterIp,
        };
        let cluster_ip = spec.and_then(|s| s.cluster_ip.as_ref());
        let mut cluster_ips = ips(spec.and_then(|s| s.cluster_ips.as_ref()).into_iter().flatten());
        if cluster_ips.is_empty() {
            cluster_ips = ips(cluster_ip);
        }
        if matches!(service_type, ServiceType::ExternalName(_)) {
            cluster_ips.clear();
        }
        Service {
            name: name(&o.metadata),
            headless: cluster_ip.is_some_and(|ip| ip == "None"),
            service_type,
            cluster_ips,
            ports: spec
                .and_then(|s| s.ports.as_ref())
                .into_iter()
                .flatten()
                .filter_map(|p| {
                    Some(ServicePort {
                        name: p.name.clone().unwrap_or_default(),
                        protocol: protocol(p.protocol.as_deref())?,
                        port: port(p.port)?,
                    })
                })
                .collect(),
            publish_not_ready_addresses: spec
                .and_then(|s| s.publish_not_ready_addresses)
                .unwrap_or_default(),
        }
    }
}

impl From<&discovery::EndpointSlice> for EndpointSlice {
    fn from(o: &discovery::EndpointSlice) -> Self {
        let labels = o.metadata.labels.as_ref();
        EndpointSlice {
            name: name(&o.metadata),
            service: labels.and_then(|l| l.get(SERVICE_NAME_LABEL)).cloned().unwrap_or_default(),
            ports: o
                .ports
                .iter()
                .flatten()
                .filter_map(|p| {
                    Some(EndpointPort {
                        name: p.name.clone().unwrap_or_default(),
                        protocol: protocol(p.protocol.as_deref())?,
                        port: port(p.port?)?,
                    })
                })
                .collect(),
            endpoints: o.endpoints.iter().map(endpoint).collect(),
        }
    }
}

fn endpoint(e: &discovery::Endpoint) -> Endpoint {
    let conditions = e.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let target = e.target_ref.as_ref().filter(|t| t.kind.as_deref() == Some("Pod"));
    Endpoint {
        addresses: ips(&e.addresses),
        ready,
        serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
        hostname: e.hostname.clone(),
        node_name: e.node_name.clone(),
        pod: target.and_then(|t| Some(ObjectName::new(t.namespace.clone()?, t.name.clone()?))),
    }
}

impl From<&core::Node> for Node {
    fn from(o: &core::Node) -> Self {
        let addresses = |wanted: &str| {
            ips(o
                .status
                .iter()
                .flat_map(|s| s.addresses.iter().flatten())
                .filter(|a| a.type_ == wanted)
                .map(|a| &a.address))
        };
        let spec = o.spec.as_ref();
        let mut cidrs: Vec<&String> =
            spec.and_then(|s| s.pod_cidrs.as_ref()).into_iter().flatten().collect();
        if cidrs.is_empty() {
            cidrs.extend(spec.and_then(|s| s.pod_cidr.as_ref()));
        }
        Node {
            name: o.metadata.name.clone().unwrap_or_default(),
            internal_ips: addresses("InternalIP"),
            external_ips: addresses("ExternalIP"),
            pod_cidrs: cidrs.into_iter().filter_map(|c| c.parse().ok()).collect(),
        }
    }
}

impl From<&core::Pod> for Pod {
    fn from(o: &core::Pod) -> Self {
        let spec = o.spec.as_ref();
        let status = o.status.as_ref();
        let phase = status.and_then(|s| s.phase.as_deref());
        Pod {
            name: name(&o.metadata),
            uid: o.metadata.uid.clone().unwrap_or_default(),
            node_name: spec.and_then(|s| s.node_name.clone()).unwrap_or_default(),
            host_network: spec.and_then(|s| s.host_network).unwrap_or(false),
            ips: ips(status.and_then(|s| s.pod_ips.as_ref()).into_iter().flatten().map(|p| &p.ip)),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(spec: serde_json::Value) -> Service {
        let o: core::Service = serde_json::from_value(
            json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": spec}),
        )
        .unwrap();
        Service::from(&o)
    }

    #[test]
    fn a_headless_service_has_no_cluster_address() {
        let s =
            service(json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}));
        assert!(s.headless);
        assert!(s.cluster_ips.is_empty());
        assert_eq!(s.ports[0].protocol, Protocol::Tcp);
    }

    #[test]
    fn a_dual_stack_service_keeps_both_addresses_in_order() {
        let s = service(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}));
        assert_eq!(
            s.cluster_ips,
            ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]
        );
    }

    #[test]
    fn an_endpoint_without_conditions_is_ready_and_serving() {
        let o: discovery::EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "ns", "labels": {SERVICE_NAME_LABEL: "web"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.1"]},
                          {"addresses": ["10.1.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}}],
            "ports": [{"name": "http", "port": 8080}, {"name": "all"}]
        }))
        .unwrap();
        let slice = EndpointSlice::from(&o);
        assert_eq!(slice.service, "web");
        assert_eq!(slice.ports.len(), 1, "a port without a number is left out");
        let [a, b] = &slice.endpoints[..] else { panic!("two endpoints") };
        assert!(a.ready && a.serving && !a.terminating);
        assert!(!b.ready && b.serving && b.terminating);
    }

    #[test]
    fn a_node_of_one_family_is_read_from_the_older_field() {
        let o: core::Node = serde_json::from_value(json!({
            "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.244.1.0/24"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n1"}]}
        }))
        .unwrap();
        let node = Node::from(&o);
        assert_eq!(node.pod_cidrs, ["10.244.1.0/24".parse().unwrap()]);
        assert_eq!(node.internal_ips, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }
}
