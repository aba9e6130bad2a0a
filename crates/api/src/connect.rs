//! Connecting to the first API server that answers.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};

use crate::candidates::{Candidate, How, candidates};
use crate::error::{Error, explain};

/// Where to look for the API server. What comes from the environment is passed in by the binary.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configured URL; used alone when set.
    pub server: Option<String>,
    /// A kubeconfig that was asked for; used alone when set (with `server` in place of its own).
    pub kubeconfig: Option<PathBuf>,
    /// Where the node's own files are seen, such as `/host`.
    pub host_root: Option<PathBuf>,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    pub environment: Option<(String, String)>,
    /// `~/.kube/config` of the person who runs this, tried last.
    pub personal_kubeconfig: Option<PathBuf>,
    /// The pod's service account: `token` and `ca.crt`, read again as they rotate.
    pub service_account: PathBuf,
    /// How long one candidate may take to answer.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: None,
            kubeconfig: None,
            host_root: None,
            environment: None,
            personal_kubeconfig: None,
            service_account: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
            timeout: Duration::from_secs(3),
        }
    }
}

/// A client, and how it came about.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: kube::Client,
    /// The API server's URL.
    pub server: String,
    /// What named that URL, for `status` and logs.
    pub found_by: String,
    /// The server's version, such as `v1.35.4`; empty where it does not tell.
    pub version: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({} by {}, {})", self.server, self.found_by, self.version)
    }
}

/// Tries each candidate once, in order, until one answers `GET /version`.
///
/// # Errors
///
/// [`Error::NotFound`] says of each candidate why it is not the one. The caller tries again: a node
/// that has just booted may have to wait for its API server.
pub async fn connect(options: &Options) -> Result<Connection, Error> {
    install_crypto_provider();
    let (found, mut failed) = candidates(options);
    for candidate in found {
        match attempt(&candidate, options).await {
            Ok(connection) => return Ok(connection),
            Err(why) => failed.push(format!("{}: {why}", candidate.found_by)),
        }
    }
    Err(Error::NotFound(failed))
}

/// TLS by ring: with one provider in the program rustls would find it by itself, until some
/// dependency brings a second one.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the program has chosen before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

async fn attempt(candidate: &Candidate, options: &Options) -> Result<Connection, String> {
    let mut config = match &candidate.how {
        How::ServiceAccount { server, tls_server_name } => {
            of_service_account(server, tls_server_name.clone(), &options.service_account)?
        }
        How::Kubeconfig(path) => of_kubeconfig(path, options.server.as_deref()).await?,
    };
    config.connect_timeout = Some(options.timeout);
    // A backstop for requests that get no answer; watches notice sooner (see `follow`).
    config.read_timeout = Some(Duration::from_secs(150));
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    let client = kube::Client::try_from(config).map_err(|e| explain(&e))?;
    let version = match tokio::time::timeout(options.timeout, client.apiserver_version()).await {
        Ok(Ok(info)) => info.git_version,
        // It is an API server, and knows who asks; it just does not tell everybody its version.
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => String::new(),
        Ok(Err(e)) => return Err(format!("{server}: {}", explain(&e))),
        Err(_) => return Err(format!("{server}: no answer within {:?}", options.timeout)),
    };
    Ok(Connection { client, server, found_by: candidate.found_by.clone(), version })
}

fn of_service_account(
    server: &str,
    tls_server_name: Option<String>,
    account: &Path,
) -> Result<Config, String> {
    let url: http::Uri = server.parse().map_err(|e| format!("'{server}' is not a URL: {e}"))?;
    if url.scheme().is_none() || url.host().is_none() {
        return Err(format!("'{server}' is not a URL such as https://192.0.2.1:6443"));
    }
    let token = account.join("token");
    let ca = account.join("ca.crt");
    for file in [&token, &ca] {
        std::fs::metadata(file).map_err(|e| {
            format!("{}: {e} (is this a pod with automountServiceAccountToken?)", file.display())
        })?;
    }
    let mut config = Config::new(url);
    config.root_cert_file = Some(ca);
    // Without any, kube asks for the system's, which an image of two programs does not have; the
    // file above is what counts.
    config.root_cert = Some(Vec::new());
    config.auth_info =
        AuthInfo { token_file: Some(token.to_string_lossy().into_owned()), ..AuthInfo::default() };
    config.tls_server_name = tls_server_name;
    Ok(config)
}

async fn of_kubeconfig(path: &Path, server: Option<&str>) -> Result<Config, String> {
    // a parser's error goes on with a picture of the file, which may hold a secret
    let first_line = |e: String| e.lines().next().unwrap_or_default().to_owned();
    let file = Kubeconfig::read_from(path).map_err(|e| first_line(e.to_string()))?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|e| e.to_string())?;
    if let Some(server) = server {
        config.cluster_url = server.parse().map_err(|e| format!("'{server}': {e}"))?;
    }
    Ok(config)
}
