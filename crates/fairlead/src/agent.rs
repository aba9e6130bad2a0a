//! `fairlead agent`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use fairlead_agent::{ApiHealth, Source};
use fairlead_model::Event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::{ConfigArgument, api, config, log};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// This node's name in the API [environment: NODE_NAME]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// A kubeconfig in place of the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the node's own files are seen
    #[arg(long, value_name = "DIR", default_value = "/")]
    host_root: PathBuf,
    /// Take objects from standard input, a watch event a line, in place of an API server
    #[arg(long, value_name = "-", hide = true)]
    objects: Option<String>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = config::read(arguments.config.config.as_deref())?;
    log::start(&file.log)?;
    let name = arguments.node_name.clone().or_else(|| std::env::var("NODE_NAME").ok());
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        anyhow::anyhow!("the node's name is unknown: give --node-name, or NODE_NAME from spec.nodeName as deploy/fairlead.yaml does")
    })?;
    let shutdown = shutdown()?;
    let (events, source) = match arguments.objects {
        Some(_) => from_stdin(),
        None => {
            let options =
                api::in_cluster(&file.api_server, arguments.kubeconfig, &arguments.host_root);
            from_api(options, name.clone())
        }
    };
    let config = file.agent(&name, &arguments.host_root);
    fairlead_agent::run(config, events, source, shutdown).await?;
    info!("ended; the node goes on forwarding");
    Ok(ExitCode::SUCCESS)
}

/// True once SIGTERM or SIGINT came.
pub fn shutdown() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
    });
    Ok(receiver)
}

fn from_stdin() -> (mpsc::Receiver<Event>, Source) {
    let started = Instant::now();
    let health = move || ApiHealth {
        server: "standard input".into(),
        connected: true,
        since: started.elapsed(),
        error: None,
    };
    (fairlead_agent::objects::read(tokio::io::stdin()), Source { health: Box::new(health) })
}

/// What is known of the connection, before there is one and after.
enum Connection {
    Trying { since: Instant, error: Option<String> },
    Watching { server: String, since: Instant, health: fairlead_api::Health },
}

/// Connects in the background: the agent's sockets answer, and the node forwards, without an API.
fn from_api(options: fairlead_api::Options, node: String) -> (mpsc::Receiver<Event>, Source) {
    let (sender, events) = mpsc::channel(256);
    let (state, seen) = watch::channel(Connection::Trying { since: Instant::now(), error: None });
    tokio::spawn(async move {
        let connection = connect(&options, &state).await;
        info!(
            server = connection.server,
            found_by = connection.found_by,
            version = connection.version,
            "connected to the API"
        );
        let watches = fairlead_api::WatchOptions { node_name: Some(node), ..Default::default() };
        let mut watch = fairlead_api::watch(&connection.client, &watches);
        let since = Instant::now();
        let watching =
            Connection::Watching { server: connection.server, since, health: watch.health };
        state.send_replace(watching);
        while let Some(event) = watch.events.recv().await {
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    (events, Source { health: Box::new(move || health(&seen.borrow())) })
}

async fn connect(
    options: &fairlead_api::Options,
    state: &watch::Sender<Connection>,
) -> fairlead_api::Connection {
    let since = Instant::now();
    let mut said = String::new();
    let mut pause = Duration::from_millis(250);
    loop {
        match fairlead_api::connect(options).await {
            Ok(connection) => return connection,
            Err(e) => {
                let e = e.to_string();
                if e != said {
                    warn!("{e}");
                    said.clone_from(&e);
                }
                state.send_replace(Connection::Trying { since, error: Some(e) });
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn health(connection: &Connection) -> ApiHealth {
    match connection {
        Connection::Trying { since, error } => ApiHealth {
            server: "the API server".into(),
            connected: false,
            since: since.elapsed(),
            error: error.clone(),
        },
        Connection::Watching { server, since, health } => {
            let kinds = health.snapshot();
            let error = kinds.values().find_map(|k| k.error.clone());
            let connected =
                kinds.values().filter_map(|k| k.connected_since).max().unwrap_or(*since);
            ApiHealth {
                server: server.clone(),
                connected: error.is_none(),
                since: error.as_ref().map_or(connected, |e| e.since).elapsed(),
                error: error.map(|e| e.message),
            }
        }
    }
}
