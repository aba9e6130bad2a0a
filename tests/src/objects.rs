//! Kubernetes objects from a short form.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::PodSpec;

/// A port: name (empty: none), protocol, number.
pub type Port<'a> = (&'a str, &'a str, u16);

/// A Namespace.
pub fn namespace(name: &str) -> Value {
    let labels = json!({"kubernetes.io/metadata.name": name});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A Ready Node with its addresses and pod ranges.
pub fn node(name: &str, addresses: &[IpAddr], pod_cidrs: &[String]) -> Value {
    let mut list: Vec<_> =
        addresses.iter().map(|a| json!({"type": "InternalIP", "address": a})).collect();
    list.push(json!({"type": "Hostname", "address": name}));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"podCIDR": pod_cidrs.first(), "podCIDRs": pod_cidrs},
        "status": {
            "addresses": list,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A Pod; running when it has addresses, else pending.
pub fn pod(spec: &PodSpec, node: &str, host: &[IpAddr], addresses: &[IpAddr]) -> Value {
    let mut status = json!({"phase": "Pending"});
    if let Some(first) = addresses.first() {
        let ips: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        status = json!({
            "phase": "Running",
            "podIP": first,
            "podIPs": ips,
            "hostIP": host.first(),
            "conditions": [{"type": "Ready", "status": "True"}],
        });
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": spec.metadata(),
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]},
        "status": status,
    })
}

/// A ClusterIP Service of namespace `default` with addresses of one or two families.
pub fn service(name: &str, addresses: &[&str], ports: &[Port<'_>]) -> Value {
    service_in("default", name, addresses, ports)
}

/// As [`service`], in a namespace. No addresses: headless.
pub fn service_in(namespace: &str, name: &str, addresses: &[&str], ports: &[Port<'_>]) -> Value {
    let none = ["None"];
    let addresses = if addresses.is_empty() { &none[..] } else { addresses };
    let families: Vec<_> = addresses.iter().map(|a| family(a)).collect();
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "ipFamilies": families,
            "ipFamilyPolicy": if addresses.len() > 1 { "PreferDualStack" } else { "SingleStack" },
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "selector": {"app": name},
            "ports": ports,
        },
    })
}

/// An EndpointSlice of Service `service` in `default`: ready endpoints (address, node), all of one
/// family. Ports are those that the endpoints listen on, by the Service's port names.
pub fn endpoint_slice(service: &str, endpoints: &[(IpAddr, &str)], ports: &[Port<'_>]) -> Value {
    let v6 = endpoints.first().is_some_and(|(address, _)| address.is_ipv6());
    endpoint_slice_of("default", service, v6, endpoints, ports)
}

/// As [`endpoint_slice`], in a namespace, with the family said (an empty slice shows none).
pub fn endpoint_slice_of(
    namespace: &str,
    service: &str,
    v6: bool,
    endpoints: &[(IpAddr, &str)],
    ports: &[Port<'_>],
) -> Value {
    let family = if v6 { "IPv6" } else { "IPv4" };
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(address, node)| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": node,
            })
        })
        .collect();
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-{}", family.to_lowercase()),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    })
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

fn port((name, protocol, number): &Port<'_>) -> Value {
    let mut port = json!({"protocol": protocol, "port": number});
    if !name.is_empty() {
        port["name"] = json!(name);
    }
    port
}
