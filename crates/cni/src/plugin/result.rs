//! ADD's result in the shape of each version of the specification.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::version::Version;
use crate::protocol::{Added, Interface, Ip, Route};

/// The result as `version` has it.
pub(super) fn shape(added: &Added, version: Version) -> Value {
    let mut result = if version < Version::V0_3_0 {
        by_family(added, version)
    } else {
        json!({
            "interfaces": added.interfaces.iter().map(|i| interface(i, version)).collect::<Vec<_>>(),
            "ips": added.ips.iter().map(|i| ip(i, version)).collect::<Vec<_>>(),
            "routes": added.routes.iter().map(|r| route(r, version)).collect::<Vec<_>>(),
        })
    };
    result["cniVersion"] = json!(version.as_str());
    // libcni's own types always have it.
    result["dns"] = json!({});
    result
}

/// 0.1.0 and 0.2.0: one address of each family, with its family's routes.
fn by_family(added: &Added, version: Version) -> Value {
    let mut result = Map::new();
    for (key, is_v4) in [("ip4", true), ("ip6", false)] {
        let of_family = |net: &IpNet| matches!(net, IpNet::V4(_)) == is_v4;
        let Some(ip) = added.ips.iter().find(|ip| of_family(&ip.address)) else { continue };
        let routes = added.routes.iter().filter(|r| of_family(&r.dst));
        let mut family = json!({
            "ip": ip.address,
            "routes": routes.map(|r| route(r, version)).collect::<Vec<_>>(),
        });
        set(&mut family, "gateway", ip.gateway);
        result.insert(key.into(), family);
    }
    Value::Object(result)
}

fn interface(interface: &Interface, version: Version) -> Value {
    let mut value = json!({ "name": interface.name, "mac": interface.mac });
    set(&mut value, "sandbox", interface.sandbox.as_ref());
    if version >= Version::V1_1_0 {
        set(&mut value, "mtu", interface.mtu);
    }
    value
}

fn ip(ip: &Ip, version: Version) -> Value {
    let mut value = json!({ "address": ip.address });
    if version < Version::V1_0_0 {
        value["version"] = json!(if matches!(ip.address, IpNet::V4(_)) { "4" } else { "6" });
    }
    set(&mut value, "gateway", ip.gateway);
    set(&mut value, "interface", ip.interface);
    value
}

fn route(route: &Route, version: Version) -> Value {
    let mut value = json!({ "dst": route.dst });
    set(&mut value, "gw", route.gw);
    if version >= Version::V1_1_0 {
        set(&mut value, "mtu", route.mtu);
    }
    value
}

fn set(object: &mut Value, key: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        object[key] = json!(value);
    }
}
