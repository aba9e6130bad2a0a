//! Everything of Fairlead leaves every node, then the cluster.
//!
//! The agents' DaemonSet is told to run `fairlead cleanup --wait` in place of the agent, so that the
//! nodes are cleaned by what has the rights and the mounts for it; only when all have done it are
//! objects deleted. All of it can be run again after an interruption.
//!
//! It may run in the controller's own pod, by the controller's own rights, which have to last until
//! the end. A ClusterRole and its binding can't both be deleted by whom they authorise, and with the
//! Deployment this process ends. So the last objects are given to ClusterRole `fairlead-controller`
//! (`metadata.ownerReferences`), and its deletion is the last request: Kubernetes' garbage collector
//! does the rest. Just before, the controller loses RoleBinding `fairlead-controller`, without which
//! it can't make `kube-dns` anew, nor a Lease.
//!
//! What stays: `spec.podCIDRs` of nodes, which the API lets nobody remove.

mod cluster;
mod nodes;
mod objects;
mod plan;

use std::time::Duration;

use fairlead_api::Client;

use cluster::{ApiCluster, Cluster, Steady};

/// What the person may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace of the manifest's objects.
    pub namespace: String,
    /// How long nodes may take to be cleaned.
    pub timeout: Duration,
    /// How often is looked.
    pub poll: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "kube-system".into(),
            timeout: Duration::from_secs(300),
            poll: Duration::from_secs(1),
        }
    }
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused something, or did not answer for too long.
    #[error(
        "{0}. Run fairlead uninstall again, which goes on from here; with a kubeconfig of your own \
         (--kubeconfig) where the controller's rights do not suffice"
    )]
    Api(#[from] fairlead_api::Error),
    /// Some nodes did not clean up in time.
    #[error(
        "after {after:?} {} of {desired} nodes are not cleaned: {}. Nothing was deleted. \
         `kubectl -n {namespace} logs POD` says more. Bring these nodes back, or take them out of \
         the cluster (kubectl delete node NAME), then run fairlead uninstall again",
        desired - done, nodes.join("; ")
    )]
    NotCleaned {
        /// How long they had.
        after: Duration,
        /// Nodes that are cleaned.
        done: u32,
        /// All nodes that have an agent.
        desired: u32,
        /// The others: node, pod, and its state.
        nodes: Vec<String>,
        /// Where the pods are.
        namespace: String,
    },
    /// Somebody put the agents back.
    #[error(
        "DaemonSet fairlead-agent was changed back while nodes were being cleaned, and runs `{0}`. \
         Nothing was deleted. Stop what applies the manifest (a GitOps tool?), then run fairlead \
         uninstall again"
    )]
    ChangedBack(String),
    /// The DaemonSet is deleted, its pods are not.
    #[error(
        "pods stay although DaemonSet fairlead-agent is deleted: {0}. If their nodes are lost, \
         `kubectl delete pod --force` them; then run fairlead uninstall again"
    )]
    PodsStay(String),
}

/// Removes it all, each step told in a line.
///
/// # Errors
///
/// One sentence that says what stays and how to go on.
pub async fn run(
    client: Client,
    options: &Options,
    mut report: impl FnMut(&str),
) -> Result<(), Error> {
    let cluster = ApiCluster { client, namespace: options.namespace.clone() };
    run_on(&cluster, options, &mut report).await
}

async fn run_on<C: Cluster>(
    cluster: &C,
    options: &Options,
    report: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let steady = Steady { cluster, options };
    nodes::clean(&steady, report).await?;
    objects::remove(&steady, report).await
}

#[cfg(test)]
mod tests;
