//! `fairlead status` and `fairlead cleanup`: one node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use fairlead_agent::{cleanup, local};

use crate::{ConfigArgument, config, health};

/// No agent answers.
const NOBODY: u8 = 3;

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Args)]
pub struct StatusArguments {
    /// The agent's directory on the node
    #[arg(long, value_name = "DIR", default_value = "/run/fairlead")]
    run_dir: PathBuf,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub async fn status(arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let socket = arguments.run_dir.join("agent.sock");
    let status = match local::ask_status(&socket).await {
        Ok(status) => status,
        Err(e) => {
            eprintln!("fairlead: {}", nobody(&socket, &e));
            return Ok(ExitCode::from(NOBODY));
        }
    };
    match arguments.output {
        Output::Text => print!("{}", status.render()),
        Output::Json => println!("{}", status.to_json()),
    }
    Ok(ExitCode::from(status.state().exit_code()))
}

/// Why the agent's socket is silent, and what to look at.
pub fn nobody(socket: &Path, e: &std::io::Error) -> String {
    format!(
        "no agent answers on {} ({e}): run this on a node or in an agent's pod, as root; kubectl -n kube-system get pods -l app=fairlead-agent -o wide shows the agents",
        socket.display()
    )
}

#[derive(Args)]
pub struct CleanupArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Where the node's own files are seen
    #[arg(long, value_name = "DIR", default_value = "/")]
    host_root: PathBuf,
    /// Stay afterwards, until ended: how `fairlead uninstall` runs this on every node
    #[arg(long, hide = true)]
    wait: bool,
}

pub async fn cleanup(arguments: CleanupArguments) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        anyhow::bail!("cleanup needs root: run it as root on the node");
    }
    let file = config::read(arguments.config.config.as_deref())?;
    let config = file.agent("", &arguments.host_root);
    if tokio::net::UnixStream::connect(config.agent_socket()).await.is_ok() {
        anyhow::bail!(
            "an agent runs on this node and would put everything back: stop it first, or use `fairlead uninstall` for the whole cluster"
        );
    }
    let failed = cleanup::cleanup(&config).await;
    for sentence in &failed {
        eprintln!("fairlead: {sentence}");
    }
    if !failed.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    println!("removed from this node");
    if arguments.wait {
        serve_done(&file).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ready means done: the DaemonSet's own probe asks at /readyz.
async fn serve_done(file: &config::File) -> anyhow::Result<()> {
    let mut shutdown = crate::agent::shutdown()?;
    tokio::select! {
        served = health::serve(file.metrics_address) => served,
        _ = shutdown.changed() => Ok(()),
    }
}
