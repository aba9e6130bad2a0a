//! Where the API server may be, in the order in which it is looked for. No I/O but reading files.
//!
//! Without kube-proxy the address in KUBERNETES_SERVICE_HOST is dead until the agent works, so the
//! node's own kubelet is asked before the environment: it reached the API server before any network
//! was there.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::connect::Options;

/// Where installers put the kubelet's kubeconfig.
pub(crate) const KUBELET_FILES: [&str; 9] = [
    "etc/kubernetes/kubelet.conf",       // kubeadm, kind, minikube
    "etc/kubernetes/kubelet.kubeconfig", // by hand ("the hard way")
    "etc/kubernetes/kubeconfig-kubelet", // Talos
    "etc/kubernetes/kubeconfig",         // older OpenShift
    "var/lib/kubelet/kubeconfig",        // EKS, GKE, AKS, kOps, OpenShift
    "var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "var/lib/k0s/kubelet.conf",
    "var/snap/microk8s/current/credentials/kubelet.config",
];

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub how: How,
    /// For people: where this came from.
    pub found_by: String,
}

/// With what to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A URL, with the pod's own service account.
    ServiceAccount { server: String, tls_server_name: Option<String> },
    /// A kubeconfig with its own credentials.
    Kubeconfig(PathBuf),
}

/// The candidates that the options and the node's files give, best first, and why others are none.
pub(crate) fn candidates(options: &Options) -> (Vec<Candidate>, Vec<String>) {
    if let Some(explicit) = explicit(options) {
        return (vec![explicit], Vec::new());
    }
    let mut found = Vec::new();
    let mut missed = Vec::new();
    if let Some(root) = &options.host_root {
        of_kubelet(root, &mut found, &mut missed);
    }
    if let Some((host, port)) = &options.environment {
        found.push(of_environment(host, port));
    }
    if let Some(path) = options.personal_kubeconfig.as_ref().filter(|p| p.exists()) {
        found.push(Candidate {
            how: How::Kubeconfig(path.clone()),
            found_by: format!("kubeconfig {}", path.display()),
        });
    }
    (found, missed)
}

/// What the operator has set is used alone: falling back from it would hide that it is wrong.
fn explicit(options: &Options) -> Option<Candidate> {
    if let Some(server) = &options.server {
        let how = match &options.kubeconfig {
            Some(path) => How::Kubeconfig(path.clone()),
            None => How::ServiceAccount { server: server.clone(), tls_server_name: None },
        };
        return Some(Candidate { how, found_by: "apiServer of the configuration".into() });
    }
    options.kubeconfig.as_ref().map(|path| Candidate {
        how: How::Kubeconfig(path.clone()),
        found_by: format!("kubeconfig {}", path.display()),
    })
}

fn of_kubelet(root: &Path, found: &mut Vec<Candidate>, missed: &mut Vec<String>) {
    let before = found.len();
    for file in KUBELET_FILES {
        let path = root.join(file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => {
                missed.push(format!("{}: {e}", path.display()));
                continue;
            }
        };
        match server_of(&text) {
            Ok((server, tls_server_name)) => found.push(Candidate {
                how: How::ServiceAccount { server, tls_server_name },
                found_by: format!("the kubelet's /{file}"),
            }),
            Err(why) => missed.push(format!("{}: {why}", path.display())),
        }
    }
    if found.len() == before && missed.is_empty() {
        missed.push(format!("no kubeconfig of the kubelet under {}", root.display()));
    }
}

fn of_environment(host: &str, port: &str) -> Candidate {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Candidate {
        how: How::ServiceAccount {
            server: format!("https://{host}:{port}"),
            tls_server_name: None,
        },
        found_by: "KUBERNETES_SERVICE_HOST of the environment".into(),
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(default)]
    server: String,
    #[serde(rename = "tls-server-name")]
    tls_server_name: Option<String>,
}

/// `server` and `tls-server-name` of the current context's cluster, or of the first one.
fn server_of(kubeconfig: &str) -> Result<(String, Option<String>), String> {
    let file: File =
        serde_yaml_ng::from_str(kubeconfig).map_err(|e| format!("not a kubeconfig: {e}"))?;
    let current = file.contexts.iter().find(|c| c.name == file.current_context);
    let cluster = current
        .and_then(|c| file.clusters.iter().find(|k| k.name == c.context.cluster))
        .or(file.clusters.first())
        .ok_or("names no cluster")?;
    match cluster.cluster.server.as_str() {
        "" => Err(format!("cluster '{}' has no server", cluster.name)),
        server => Ok((server.to_owned(), cluster.cluster.tls_server_name.clone())),
    }
}

#[cfg(test)]
mod tests;
