//! The binary: arguments, configuration and wiring, nothing else.

mod agent;
mod api;
mod config;
mod controller;
mod health;
mod log;
mod node;
mod observe;
mod uninstall;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

const CONFIG: &str = "/etc/fairlead/config.yaml";

/// Kubernetes networking: pods, Services and names by one program and one eBPF datapath
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node's agent (what the DaemonSet does)
    Agent(agent::Arguments),
    /// Run the cluster's controller (what the Deployment does)
    Controller(controller::Arguments),
    /// Say what works on this node and what does not
    ///
    /// Exit status: 0 everything works, 1 something works badly, 2 pods have no network here,
    /// 3 no agent answers.
    Status(node::StatusArguments),
    /// Show new connections and drops of this node as they happen
    Observe(observe::Arguments),
    /// Remove everything of Fairlead from every node, then its objects from the cluster
    Uninstall(uninstall::Arguments),
    /// Remove everything of Fairlead from this node; its pods lose their network
    Cleanup(node::CleanupArguments),
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigArgument {
    /// The configuration file; without this option a missing one means the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let threads = match &cli.command {
        // a node's work is one task; what waits for the network needs few threads beside it
        Command::Agent(_) | Command::Controller(_) => 2,
        _ => 1,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return fail(&anyhow::anyhow!("the runtime could not be started: {e}")),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Agent(arguments) => agent::run(arguments).await,
            Command::Controller(arguments) => controller::run(arguments).await,
            Command::Status(arguments) => node::status(arguments).await,
            Command::Observe(arguments) => observe::run(arguments).await,
            Command::Uninstall(arguments) => uninstall::run(arguments).await,
            Command::Cleanup(arguments) => node::cleanup(arguments).await,
        }
    });
    // whoever blocks on a file or a name is not waited for
    runtime.shutdown_background();
    result.unwrap_or_else(|e| fail(&e))
}

fn fail(e: &anyhow::Error) -> ExitCode {
    eprintln!("fairlead: {}", sentence(e));
    ExitCode::FAILURE
}

/// The error and its causes as one sentence: libraries' errors often say their cause themselves.
fn sentence(e: &anyhow::Error) -> String {
    e.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}
