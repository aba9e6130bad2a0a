//! `fairlead controller`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tracing::{info, warn};

use crate::{ConfigArgument, api, config, health, log};

/// Where the Deployment's probes ask.
const HEALTH_PORT: u16 = 9966;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// A kubeconfig in place of the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the node's own files are seen
    #[arg(long, value_name = "DIR", default_value = "/")]
    host_root: PathBuf,
    /// This replica's name in the election [environment: POD_NAME]
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Namespace of the Lease
    #[arg(long, default_value = "kube-system")]
    namespace: String,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = config::read(arguments.config.config.as_deref())?;
    log::start(&file.log)?;
    let identity = arguments.identity.or_else(|| std::env::var("POD_NAME").ok());
    let identity = identity.filter(|name| !name.is_empty()).ok_or_else(|| {
        anyhow::anyhow!(
            "the replica's name is unknown: give --identity, or POD_NAME from metadata.name"
        )
    })?;
    let mut shutdown = crate::agent::shutdown()?;
    let probes = SocketAddr::from(([127, 0, 0, 1], HEALTH_PORT));
    tokio::spawn(async move {
        if let Err(e) = health::serve(probes).await {
            warn!("{e:#}");
        }
    });
    let options = api::in_cluster(&file.api_server, arguments.kubeconfig, &arguments.host_root);
    let connection = loop {
        match fairlead_api::connect(&options).await {
            Ok(connection) => break connection,
            Err(e) => warn!("{e}"),
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            _ = shutdown.changed() => return Ok(ExitCode::SUCCESS),
        }
    };
    info!(server = connection.server, found_by = connection.found_by, "connected to the API");
    let (status, _) = tokio::sync::watch::channel(fairlead_controller::Status::default());
    let config = fairlead_controller::Config {
        identity,
        namespace: arguments.namespace,
        ipam: file.ipam,
        dns: file.dns,
    };
    let ended = async move {
        let _ = shutdown.changed().await;
    };
    fairlead_controller::run(connection.client, config, status, ended).await?;
    Ok(ExitCode::SUCCESS)
}
