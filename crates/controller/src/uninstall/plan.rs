//! What is to be deleted, and what the agents run before.

use fairlead_api::removal::{Kind, Target};
use fairlead_model::ObjectName;

use crate::LEASE;
use crate::core::service;

/// The agents' name in all of their objects, and their pods' label `app`.
pub(super) const AGENT: &str = "fairlead-agent";
/// The container that is told to clean up.
pub(super) const CONTAINER: &str = "agent";
/// The controller's name in all of its objects, and its pods' label `app`.
pub(super) const CONTROLLER: &str = "fairlead-controller";
const CONFIG: &str = "fairlead";

/// An object of the manifest.
pub(super) fn target(kind: Kind, namespace: &str, name: &str) -> Target {
    let namespace = match kind {
        Kind::ClusterRole | Kind::ClusterRoleBinding => "",
        _ => namespace,
    };
    Target { kind, name: ObjectName::new(namespace, name) }
}

/// What nobody needs once the agents are gone.
pub(super) fn of_the_agents(namespace: &str) -> [Target; 3] {
    [Kind::ClusterRoleBinding, Kind::ClusterRole, Kind::ServiceAccount]
        .map(|kind| target(kind, namespace, AGENT))
}

/// The Service that the controller makes; there may be one of this name that it did not make.
pub(super) fn kube_dns() -> Target {
    Target { kind: Kind::Service, name: service::name() }
}

/// What belongs to ClusterRole `fairlead-controller` in the end, apart from `kube-dns`. The
/// Deployment is first: the controller must not run on while its objects go.
pub(super) fn of_the_controller(namespace: &str) -> [Target; 6] {
    [
        target(Kind::Deployment, namespace, CONTROLLER),
        target(Kind::Lease, namespace, LEASE),
        target(Kind::ConfigMap, namespace, CONFIG),
        target(Kind::Role, namespace, CONTROLLER),
        target(Kind::ServiceAccount, namespace, CONTROLLER),
        target(Kind::ClusterRoleBinding, namespace, CONTROLLER),
    ]
}

/// `fairlead agent …` turned into `fairlead cleanup --wait …` with the same view of the node. Of a
/// command that is one already, the same.
pub(super) fn cleanup_command(agent: &[String]) -> Vec<String> {
    let program = agent.first().map_or("/fairlead", String::as_str);
    let mut command: Vec<String> = [program, "cleanup", "--wait"].map(Into::into).into();
    let mut words = agent.iter().skip(1);
    while let Some(word) = words.next() {
        let option = word.split('=').next().unwrap_or_default();
        if !["--host-root", "--config"].contains(&option) {
            continue;
        }
        command.push(word.clone());
        if option == word {
            command.extend(words.next().cloned());
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleanup(agent: &str) -> String {
        let words: Vec<String> = agent.split_whitespace().map(Into::into).collect();
        cleanup_command(&words).join(" ")
    }

    #[test]
    fn the_cleanup_sees_the_node_as_the_agent_did() {
        let expected = "/fairlead cleanup --wait --host-root /host";
        assert_eq!(cleanup("/fairlead agent --host-root /host"), expected);
        assert_eq!(
            cleanup("/x agent --node-name n1 --host-root=/h --kubeconfig /k --config /c"),
            "/x cleanup --wait --host-root=/h --config /c"
        );
        assert_eq!(cleanup(""), "/fairlead cleanup --wait");
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let once = cleanup("/fairlead agent --config /c --host-root /host");
        assert_eq!(cleanup(&once), once);
    }
}
