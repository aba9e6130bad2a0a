//! `fairlead-bench`: what the datapath costs, as ratios against baselines of the same run.
//!
//! Traffic runs over bare links, plain kernel routing, the `bridge` plugin and Fairlead, in rounds
//! that visit every topology in turn, so that a machine that slows down slows all of them. Prints
//! Markdown: medians, the medians of the rounds' ratios, raw values.

mod agents;
mod cni;
mod measure;
mod report;
mod topology;
mod traffic;

use clap::{Parser, Subcommand};
use fairlead_tests::{LabError, missing};

use measure::{Cpus, Pattern, Plan};
use topology::Topologies;

#[derive(Debug, Parser)]
#[command(about = "Ratios of the datapath against its baselines")]
struct Arguments {
    /// How often every measurement is made.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each takes.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Client and server on one CPU, on two, or both ways.
    #[arg(long, value_enum, default_value_t = Cpus::Both)]
    cpus: Cpus,
    /// Pods added and deleted for the latencies of CNI; 0: leave them out.
    #[arg(long, default_value_t = 50)]
    pods: usize,
    /// Only topologies whose name contains this.
    #[arg(long)]
    only: Option<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it starts itself in a namespace.
#[derive(Debug, Subcommand)]
enum Role {
    /// Serves traffic until standard input ends.
    #[command(hide = true)]
    Serve { port: u16 },
    /// Makes traffic and prints one number.
    #[command(hide = true)]
    Client { pattern: Pattern, target: std::net::SocketAddr, seconds: f64 },
}

fn main() {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        Some(Role::Serve { port }) => traffic::serve(port).map_err(|e| e.to_string()),
        Some(Role::Client { pattern, target, seconds }) => {
            traffic::client(pattern, target, seconds).map_err(|e| format!("{target}: {e}"))
        }
        None => compare(&arguments).map_err(|e| e.to_string()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn compare(arguments: &Arguments) -> Result<(), LabError> {
    if let Some(why) = missing() {
        return Err(LabError::Missing(why));
    }
    report::machine();
    let topologies = Topologies::build()?;
    let plan = Plan {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        cpus: arguments.cpus,
        only: arguments.only.clone(),
    };
    let results = measure::run(&plan, &topologies)?;
    report::traffic(&plan, &results);
    let idle = topologies.fairlead().map(|lab| agents::memory(lab.node(1)));
    if arguments.pods > 0 {
        report::latencies(&cni::latencies(&topologies, arguments.pods)?);
    }
    match topologies.fairlead().zip(idle) {
        Some((lab, idle)) => report::agent(&agents::figures(lab.node(1), idle)?),
        None => println!("\nThe agent was not there: no figures of Fairlead."),
    }
    Ok(())
}
