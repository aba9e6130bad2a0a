//! The few objects that Fairlead reads once, makes or changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fairlead_model::{Object, ObjectName, ServicePort};
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::error::{Error, code};
use crate::slim::{Slim, Watched};

/// What became of giving a node its ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The node has them now.
    Done,
    /// It had others already; they can't be changed (API: `spec.podCIDRs` is immutable once set).
    Had(Vec<IpNet>),
    /// There is no such node any more.
    Gone,
}

/// Sets `spec.podCIDR` and `spec.podCIDRs` of a node that has none, guarded by its resource version.
///
/// # Errors
///
/// [`Error::is_conflict`] when the node changed in between: look again.
pub async fn give_pod_cidrs(
    client: &kube::Client,
    node: &str,
    cidrs: &[IpNet],
) -> Result<Given, Error> {
    let what = || format!("giving node {node} its pod CIDRs");
    let api = Api::<Slim<core::Node>>::all(client.clone());
    let found = api.get_opt(node).await.map_err(|e| Error::request(what(), &e))?;
    let Some(found) = found else { return Ok(Given::Gone) };
    if let Object::Node(model) = found.object()
        && !model.pod_cidrs.is_empty()
    {
        return Ok(Given::Had(model.pod_cidrs));
    }
    let patch = json!({
        "metadata": {"resourceVersion": found.0.metadata.resource_version},
        "spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs},
    });
    match api.patch(node, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(Given::Done),
        Err(e) if code(&e) == Some(404) => Ok(Given::Gone),
        Err(e) => Err(Error::request(what(), &e)),
    }
}

/// The cluster's Service ranges in order of preference: `spec.cidrs` of the ServiceCIDR named
/// `kubernetes` (KEP-1880). Empty where the server does not serve that kind, or not to us.
///
/// # Errors
///
/// When the server can't be asked.
pub async fn service_ranges(client: &kube::Client) -> Result<Vec<IpNet>, Error> {
    let api = Api::<ServiceCIDR>::all(client.clone());
    match api.get_opt("kubernetes").await {
        Ok(found) => {
            let cidrs = found.and_then(|range| range.spec?.cidrs).unwrap_or_default();
            Ok(cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect())
        }
        Err(e) if matches!(code(&e), Some(403 | 404)) => Ok(Vec::new()),
        Err(e) => Err(Error::request("reading ServiceCIDR kubernetes", &e)),
    }
}

/// The cluster addresses of a Service; empty where there is none.
///
/// # Errors
///
/// When the server can't be asked.
pub async fn service_addresses(
    client: &kube::Client,
    name: &ObjectName,
) -> Result<Vec<IpAddr>, Error> {
    let api = Api::<Slim<core::Service>>::namespaced(client.clone(), &name.namespace);
    let found = api
        .get_opt(&name.name)
        .await
        .map_err(|e| Error::request(format!("reading Service {name}"), &e))?;
    Ok(match found.as_ref().map(Watched::object) {
        Some(Object::Service(service)) => service.cluster_ips,
        _ => Vec::new(),
    })
}

/// The Service that has this cluster address.
///
/// # Errors
///
/// When the server can't be asked.
pub async fn service_at(
    client: &kube::Client,
    address: IpAddr,
) -> Result<Option<ObjectName>, Error> {
    let api = Api::<Slim<core::Service>>::all(client.clone());
    let mut params = ListParams::default().limit(100);
    loop {
        let page = api.list(&params).await.map_err(|e| Error::request("listing Services", &e))?;
        for object in page.items.iter().map(Watched::object) {
            if let Object::Service(service) = object
                && service.cluster_ips.contains(&address)
            {
                return Ok(Some(service.name));
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(None);
        }
    }
}

/// A Service without a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewService {
    /// Its name.
    pub name: ObjectName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its cluster addresses; a second family is allocated by the server where it is not given.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// Makes a Service with `ipFamilyPolicy: PreferDualStack`.
///
/// # Errors
///
/// [`Error::is_conflict`] when there is one of this name, [`Error::is_invalid`] when an address is
/// taken or in none of the cluster's ranges.
pub async fn create_service(client: &kube::Client, new: &NewService) -> Result<(), Error> {
    let ports = new.ports.iter().map(|port| core::ServicePort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.to_string()),
        port: i32::from(port.port),
        target_port: Some(IntOrString::Int(i32::from(port.port))),
        ..core::ServicePort::default()
    });
    let addresses: Vec<String> = new.cluster_ips.iter().map(ToString::to_string).collect();
    let service = core::Service {
        metadata: ObjectMeta {
            name: Some(new.name.name.clone()),
            namespace: Some(new.name.namespace.clone()),
            labels: Some(new.labels.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(core::ServiceSpec {
            cluster_ip: addresses.first().cloned(),
            cluster_ips: Some(addresses),
            ip_family_policy: Some("PreferDualStack".into()),
            ports: Some(ports.collect()),
            ..core::ServiceSpec::default()
        }),
        status: None,
    };
    let api = Api::<core::Service>::namespaced(client.clone(), &new.name.namespace);
    match api.create(&PostParams::default(), &service).await {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::request(format!("making Service {}", new.name), &e)),
    }
}

/// A sentence for `kubectl get events` and `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `Node`, `Service`, …
    pub kind: String,
    /// The object; a cluster-scoped one has an empty namespace.
    pub name: ObjectName,
    /// Whether something is wrong, or only worth knowing.
    pub warning: bool,
    /// One word in CamelCase.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// Who says it: `fairlead-controller`, `fairlead-agent`.
    pub by: String,
}

/// Writes an Event.
///
/// # Errors
///
/// When the server refuses it; there is nothing to do about that but to log.
pub async fn report(client: &kube::Client, report: &Report) -> Result<(), Error> {
    // Events of cluster-scoped objects are kept in `default`, and the kubelet names a Node's uid by
    // its name, which is what `kubectl describe node` looks for.
    let cluster_scoped = report.name.namespace.is_empty();
    let namespace = if cluster_scoped { "default" } else { &report.name.namespace };
    let now = Timestamp::now();
    let event = core::Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", report.name.name, now.as_nanosecond())),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        },
        involved_object: core::ObjectReference {
            api_version: Some("v1".into()),
            kind: Some(report.kind.clone()),
            name: Some(report.name.name.clone()),
            namespace: (!cluster_scoped).then(|| namespace.into()),
            uid: (report.kind == "Node").then(|| report.name.name.clone()),
            ..core::ObjectReference::default()
        },
        type_: Some(if report.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(report.reason.clone()),
        message: Some(report.message.clone()),
        source: Some(core::EventSource { component: Some(report.by.clone()), host: None }),
        reporting_component: Some(report.by.clone()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..core::Event::default()
    };
    let api = Api::<core::Event>::namespaced(client.clone(), namespace);
    match api.create(&PostParams::default(), &event).await {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::request(format!("an Event about {}", report.name), &e)),
    }
}
