//! Objects as they are decoded here: the API's own types with only the fields that the model reads.
//!
//! A Node carries the names of all its images, a Pod its whole specification, and every object its
//! managed fields. The decoder skips them in the text of the answer, so they are never in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fairlead_model::{Kind, Object};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// An object of the API of which only some fields are decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slim<K>(pub K);

/// A kind that is watched.
pub(crate) trait Watched:
    Resource<DynamicType = ()> + for<'de> Deserialize<'de> + Clone + std::fmt::Debug + Send + 'static
{
    /// The model's name for it.
    const KIND: Kind;

    /// The object in the model's terms.
    fn object(&self) -> Object;
}

impl<K: Resource<DynamicType = ()>> Resource for Slim<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> Cow<'_, str> {
        K::kind(&())
    }
    fn group(_: &()) -> Cow<'_, str> {
        K::group(&())
    }
    fn version(_: &()) -> Cow<'_, str> {
        K::version(&())
    }
    fn plural(_: &()) -> Cow<'_, str> {
        K::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<Meta> for ObjectMeta {
    fn from(m: Meta) -> Self {
        ObjectMeta {
            name: m.name,
            namespace: m.namespace,
            uid: m.uid,
            resource_version: m.resource_version,
            labels: m.labels,
            ..ObjectMeta::default()
        }
    }
}

/// The fields of one kind that are decoded, and the object made of them.
macro_rules! slim {
    ($api:ty, $kind:expr, $fields:ty, |$f:ident| $object:expr, |$o:ident| $model:expr) => {
        impl<'de> Deserialize<'de> for Slim<$api> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$fields>::deserialize(deserializer).map(|$f| Slim($object))
            }
        }

        impl Watched for Slim<$api> {
            const KIND: Kind = $kind;

            fn object(&self) -> Object {
                let $o = &self.0;
                $model
            }
        }
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceFields {
    #[serde(default)]
    metadata: Meta,
    spec: Option<core::ServiceSpec>,
}

slim!(
    core::Service,
    Kind::Service,
    ServiceFields,
    |f| core::Service { metadata: f.metadata.into(), spec: f.spec, status: None },
    |o| Object::Service(o.into())
);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointSliceFields {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    address_type: String,
    // null where a slice has none.
    endpoints: Option<Vec<discovery::Endpoint>>,
    ports: Option<Vec<discovery::EndpointPort>>,
}

slim!(
    discovery::EndpointSlice,
    Kind::EndpointSlice,
    EndpointSliceFields,
    |f| discovery::EndpointSlice {
        metadata: f.metadata.into(),
        address_type: f.address_type,
        endpoints: f.endpoints.unwrap_or_default(),
        ports: f.ports,
    },
    |o| Object::EndpointSlice(o.into())
);

#[derive(Deserialize)]
struct NodeFields {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpecFields,
    #[serde(default)]
    status: NodeStatusFields,
}

#[derive(Default, Deserialize)]
struct NodeSpecFields {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct NodeStatusFields {
    addresses: Option<Vec<core::NodeAddress>>,
}

slim!(
    core::Node,
    Kind::Node,
    NodeFields,
    |f| core::Node {
        metadata: f.metadata.into(),
        spec: Some(core::NodeSpec {
            pod_cidr: f.spec.pod_cidr,
            pod_cidrs: f.spec.pod_cidrs,
            ..core::NodeSpec::default()
        }),
        status: Some(core::NodeStatus {
            addresses: f.status.addresses,
            ..core::NodeStatus::default()
        }),
    },
    |o| Object::Node(o.into())
);

#[derive(Deserialize)]
struct PodFields {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    spec: PodSpecFields,
    #[serde(default)]
    status: PodStatusFields,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpecFields {
    node_name: Option<String>,
    host_network: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatusFields {
    phase: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<core::PodIP>>,
}

slim!(
    core::Pod,
    Kind::Pod,
    PodFields,
    |f| core::Pod {
        metadata: f.metadata.into(),
        spec: Some(core::PodSpec {
            node_name: f.spec.node_name,
            host_network: f.spec.host_network,
            ..core::PodSpec::default()
        }),
        status: Some(core::PodStatus {
            phase: f.status.phase,
            pod_ips: f.status.pod_ips,
            ..core::PodStatus::default()
        }),
    },
    |o| Object::Pod(o.into())
);

#[derive(Deserialize)]
struct NamespaceFields {
    #[serde(default)]
    metadata: Meta,
}

slim!(
    core::Namespace,
    Kind::Namespace,
    NamespaceFields,
    |f| core::Namespace { metadata: f.metadata.into(), spec: None, status: None },
    |o| Object::Namespace(o.metadata.name.clone().unwrap_or_default())
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The slim decoding and the API's own must give the same model object.
    fn same<K>(value: serde_json::Value)
    where
        K: for<'de> Deserialize<'de>,
        Slim<K>: Watched,
    {
        let whole = Slim(serde_json::from_value::<K>(value.clone()).unwrap());
        let slim: Slim<K> = serde_json::from_value(value).unwrap();
        assert_eq!(slim.object(), whole.object());
    }

    fn meta(name: &str) -> serde_json::Value {
        json!({"name": name, "namespace": "ns", "uid": "u-1", "resourceVersion": "7",
               "labels": {"kubernetes.io/service-name": "web"}, "annotations": {"a": "b"},
               "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]})
    }

    #[test]
    fn slim_objects_say_the_same_as_whole_ones() {
        same::<core::Service>(json!({"metadata": meta("web"), "spec": {"clusterIP": "10.96.0.7",
            "clusterIPs": ["10.96.0.7", "fd00::7"], "ports": [{"port": 80, "protocol": "UDP"}]},
            "status": {"loadBalancer": {}}}));
        same::<core::Node>(json!({"metadata": meta("n1"),
            "spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24", "fd00:1::/64"], "taints": []},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                       "images": [{"names": ["x"], "sizeBytes": 5}]}}));
        same::<core::Pod>(json!({"metadata": meta("p"),
            "spec": {"nodeName": "n1", "hostNetwork": true, "containers": [{"name": "c"}]},
            "status": {"phase": "Failed", "podIPs": [{"ip": "10.0.1.5"}, {"ip": "fd00:1::5"}]}}));
        same::<core::Namespace>(json!({"metadata": meta("ns")}));
        same::<discovery::EndpointSlice>(json!({"metadata": meta("web-x"), "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.1.5"], "nodeName": "n1", "conditions": {"ready": false}}],
            "ports": [{"name": "http", "port": 80}]}));
    }

    #[test]
    fn absent_and_null_lists_are_empty() {
        let slice: Slim<discovery::EndpointSlice> = serde_json::from_value(
            json!({"metadata": {"name": "x"}, "addressType": "IPv4", "endpoints": null, "ports": null}),
        )
        .unwrap();
        assert!(slice.0.endpoints.is_empty());
        let node: Slim<core::Node> =
            serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        let Object::Node(node) = node.object() else { panic!("a Node") };
        assert!(node.pod_cidrs.is_empty() && node.internal_ips.is_empty());
    }

    #[test]
    fn what_is_not_read_is_not_kept() {
        let slim: Slim<core::Service> =
            serde_json::from_value(json!({"metadata": meta("web"), "spec": {}})).unwrap();
        let meta = slim.meta();
        assert!(meta.managed_fields.is_none() && meta.annotations.is_none());
        assert_eq!(meta.resource_version.as_deref(), Some("7"));
    }
}
