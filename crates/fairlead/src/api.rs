//! Where the API server is: what the environment says, for those who must not read it.

use std::env;
use std::path::{Path, PathBuf};

use fairlead_api::Options;

/// For a program in a pod of a node.
pub fn in_cluster(server: &str, kubeconfig: Option<PathBuf>, host_root: &Path) -> Options {
    Options {
        server: (!server.is_empty()).then(|| server.to_owned()),
        kubeconfig,
        host_root: Some(host_root.to_owned()),
        environment: environment(),
        ..Options::default()
    }
}

/// For a person's machine.
pub fn personal(kubeconfig: Option<PathBuf>) -> Options {
    Options {
        kubeconfig: kubeconfig.or_else(|| env::var_os("KUBECONFIG").map(PathBuf::from)),
        environment: environment(),
        personal_kubeconfig: env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")),
        ..Options::default()
    }
}

fn environment() -> Option<(String, String)> {
    Some((env::var("KUBERNETES_SERVICE_HOST").ok()?, env::var("KUBERNETES_SERVICE_PORT").ok()?))
}
