//! The rollout of a DaemonSet: what its pods run, how far it is, and what keeps it.

use fairlead_model::ObjectName;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::error::{Error, code};

/// A DaemonSet, as far as its rollout goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// `command` and `args` of the container that was asked for.
    pub command: Vec<String>,
    /// Whether the status is one of the present specification.
    pub observed: bool,
    /// Nodes that are to run it.
    pub desired: u32,
    /// Nodes that run a pod of the present specification.
    pub updated: u32,
    /// Nodes whose pod is ready, also one of an older specification.
    pub ready: u32,
}

impl Rollout {
    /// Whether every node runs a ready pod of the present specification.
    pub fn done(&self) -> bool {
        self.observed && self.updated >= self.desired && self.ready >= self.desired
    }

    /// Nodes of which this is known. While older pods are there, ready ones may be those.
    pub fn nodes_done(&self) -> u32 {
        if self.observed { self.updated.min(self.ready) } else { 0 }
    }
}

/// Reads a DaemonSet; `None` where there is none.
///
/// # Errors
///
/// When the server can't be asked, or refuses.
pub async fn rollout(
    client: &kube::Client,
    name: &ObjectName,
    container: &str,
) -> Result<Option<Rollout>, Error> {
    let api = Api::<DaemonSet>::namespaced(client.clone(), &name.namespace);
    let found = api.get_opt(&name.name).await;
    let found = found.map_err(|e| Error::request(format!("reading DaemonSet {name}"), &e))?;
    Ok(found.map(|set| read(&set, container)))
}

fn read(set: &DaemonSet, container: &str) -> Rollout {
    let pod = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let found = containers.iter().find(|c| c.name == container);
    let words = |c: &core::Container| [c.command.clone(), c.args.clone()].into_iter().flatten();
    let status = set.status.clone().unwrap_or_default();
    let count = |n: i32| u32::try_from(n).unwrap_or_default();
    Rollout {
        command: found.map(|c| words(c).flatten().collect()).unwrap_or_default(),
        observed: status.observed_generation >= set.metadata.generation,
        desired: count(status.desired_number_scheduled),
        updated: count(status.updated_number_scheduled.unwrap_or_default()),
        ready: count(status.number_ready),
    }
}

/// Lets a container of all pods run another command, on all nodes at once. Whether there is such a
/// DaemonSet.
///
/// # Errors
///
/// When the server can't be asked, or refuses.
pub async fn replace_command(
    client: &kube::Client,
    name: &ObjectName,
    container: &str,
    command: &[String],
) -> Result<bool, Error> {
    let patch = json!({"spec": {
        "updateStrategy": {
            "type": "RollingUpdate",
            // No surge: the old pod ends before the new one begins.
            "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0},
        },
        // Strategic: containers are merged by their name.
        "template": {"spec": {"containers": [
            {"name": container, "command": command, "args": null},
        ]}},
    }});
    let api = Api::<DaemonSet>::namespaced(client.clone(), &name.namespace);
    match api.patch(&name.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(_) => Ok(true),
        Err(e) if code(&e) == Some(404) => Ok(false),
        Err(e) => Err(Error::request(format!("changing DaemonSet {name}"), &e)),
    }
}

/// A pod of a DaemonSet or a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Its node, also before it is scheduled where that is known.
    pub node: String,
    /// What the container runs.
    pub command: Vec<String>,
    /// What keeps it from being ready, in words; `None`: it is.
    pub waits: Option<String>,
}

/// The pods that have the label `app` of this value.
///
/// # Errors
///
/// When the server can't be asked, or refuses.
pub async fn pods(
    client: &kube::Client,
    namespace: &str,
    app: &str,
    container: &str,
) -> Result<Vec<PodState>, Error> {
    let api = Api::<core::Pod>::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default().labels(&format!("app={app}"))).await;
    let found = found.map_err(|e| Error::request(format!("listing the pods of {app}"), &e))?;
    Ok(found.items.iter().map(|pod| state(pod, container)).collect())
}

fn state(pod: &core::Pod, container: &str) -> PodState {
    let spec = pod.spec.clone().unwrap_or_default();
    let found = spec.containers.iter().find(|c| c.name == container);
    let words = found.map(|c| [c.command.clone(), c.args.clone()].into_iter().flatten().flatten());
    PodState {
        name: pod.metadata.name.clone().unwrap_or_default(),
        node: spec.node_name.clone().or_else(|| meant_for(&spec)).unwrap_or_default(),
        command: words.map(Iterator::collect).unwrap_or_default(),
        waits: waits(pod, container),
    }
}

/// The DaemonSet controller binds a pod to its node by an affinity to `metadata.name`.
fn meant_for(spec: &core::PodSpec) -> Option<String> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|t| t.match_fields.iter().flatten());
    fields.filter(|f| f.key == "metadata.name").find_map(|f| f.values.as_ref()?.first().cloned())
}

fn waits(pod: &core::Pod, container: &str) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("still ending: does its node's kubelet run?".into());
    }
    let status = pod.status.clone().unwrap_or_default();
    let condition =
        |kind: &str| status.conditions.iter().flatten().find(|c| c.type_ == kind).cloned();
    if condition("Ready").is_some_and(|c| c.status == "True") {
        return None;
    }
    if let Some(c) = condition("PodScheduled").filter(|c| c.status != "True") {
        return Some(format!("not scheduled: {}", c.message.or(c.reason).unwrap_or_default()));
    }
    let states = status.container_statuses.iter().flatten().filter(|s| s.name == container);
    for state in states.filter_map(|s| s.state.as_ref()) {
        if let Some(waiting) = &state.waiting {
            let words = [waiting.reason.clone(), waiting.message.clone()];
            return Some(words.into_iter().flatten().collect::<Vec<_>>().join(": "));
        }
        if let Some(ended) = &state.terminated {
            return Some(format!("ended with exit code {}", ended.exit_code));
        }
    }
    let phase = status.phase.unwrap_or_else(|| "Pending".into());
    Some(format!("{phase}, not ready: does its node's kubelet run?"))
}

#[cfg(test)]
mod tests;
