//! Deleting objects of the manifest, by metadata alone: what an object says beyond it is not read.

use std::collections::BTreeMap;

use fairlead_model::ObjectName;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::rbac::v1 as rbac;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use serde_json::json;

use crate::error::{Error, code};

/// The kinds of the manifest's objects, and of those that the controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the API's")]
pub enum Kind {
    ConfigMap,
    Service,
    ServiceAccount,
    DaemonSet,
    Deployment,
    Lease,
    Role,
    RoleBinding,
    ClusterRole,
    ClusterRoleBinding,
}

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Kind::ConfigMap => ApiResource::erase::<core::ConfigMap>(&()),
            Kind::Service => ApiResource::erase::<core::Service>(&()),
            Kind::ServiceAccount => ApiResource::erase::<core::ServiceAccount>(&()),
            Kind::DaemonSet => ApiResource::erase::<apps::DaemonSet>(&()),
            Kind::Deployment => ApiResource::erase::<apps::Deployment>(&()),
            Kind::Lease => ApiResource::erase::<coordination::Lease>(&()),
            Kind::Role => ApiResource::erase::<rbac::Role>(&()),
            Kind::RoleBinding => ApiResource::erase::<rbac::RoleBinding>(&()),
            Kind::ClusterRole => ApiResource::erase::<rbac::ClusterRole>(&()),
            Kind::ClusterRoleBinding => ApiResource::erase::<rbac::ClusterRoleBinding>(&()),
        }
    }
}

/// One object; that of a cluster-scoped kind has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: ObjectName,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.namespace.as_str() {
            "" => write!(f, "{:?} {}", self.kind, self.name.name),
            _ => write!(f, "{:?} {}", self.kind, self.name),
        }
    }
}

impl Target {
    fn api(&self, client: &kube::Client) -> Api<DynamicObject> {
        let resource = self.kind.resource();
        match self.name.namespace.as_str() {
            "" => Api::all_with(client.clone(), &resource),
            namespace => Api::namespaced_with(client.clone(), namespace, &resource),
        }
    }
}

/// What is known of an object that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
}

/// Looks for an object; `None` where there is none.
///
/// # Errors
///
/// When the server can't be asked, or refuses to tell.
pub async fn find(client: &kube::Client, target: &Target) -> Result<Option<Found>, Error> {
    let found = target.api(client).get_metadata_opt(&target.name.name).await;
    let found = found.map_err(|e| Error::request(format!("reading {target}"), &e))?;
    Ok(found.map(|object| Found {
        uid: object.metadata.uid.unwrap_or_default(),
        labels: object.metadata.labels.unwrap_or_default(),
    }))
}

/// Deletes an object, and by the garbage collector what it owns. Whether there was one; with a
/// `uid` only the object that has it is meant.
///
/// # Errors
///
/// When the server can't be asked, or refuses.
pub async fn delete(
    client: &kube::Client,
    target: &Target,
    uid: Option<&str>,
) -> Result<bool, Error> {
    let preconditions =
        uid.map(|uid| Preconditions { uid: Some(uid.into()), resource_version: None });
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions,
        ..DeleteParams::default()
    };
    match target.api(client).delete(&target.name.name, &params).await {
        Ok(_) => Ok(true),
        Err(e) if code(&e) == Some(404) => Ok(false),
        // Deleted in between, and made anew by somebody.
        Err(e) if code(&e) == Some(409) && uid.is_some() => Ok(false),
        Err(e) => Err(Error::request(format!("deleting {target}"), &e)),
    }
}

/// Makes a cluster-scoped object the owner of another one, which Kubernetes' garbage collector then
/// deletes after it. An object that is gone needs no owner.
///
/// # Errors
///
/// When the server can't be asked, or refuses.
pub async fn adopt(
    client: &kube::Client,
    target: &Target,
    owner: &Target,
    owner_uid: &str,
) -> Result<(), Error> {
    let resource = owner.kind.resource();
    let reference = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner.name.name,
        "uid": owner_uid,
    });
    // Strategic: owners are merged by their uid, others stay.
    let patch = Patch::Strategic(json!({"metadata": {"ownerReferences": [reference]}}));
    let api = target.api(client);
    match api.patch_metadata(&target.name.name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(e) if code(&e) == Some(404) => Ok(()),
        Err(e) => Err(Error::request(format!("making {owner} the owner of {target}"), &e)),
    }
}

#[cfg(test)]
mod tests;
