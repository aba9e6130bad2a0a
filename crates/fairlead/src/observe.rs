//! `fairlead observe`.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fairlead_agent::local::{Observed, Question, ask};
use fairlead_observe::flow::{Filter, Lines, protocol_number};

use crate::node::nobody;

#[derive(Args)]
pub struct Arguments {
    /// The agent's directory on the node
    #[arg(long, value_name = "DIR", default_value = "/run/fairlead")]
    run_dir: PathBuf,
    /// Print what happened lately and end
    #[arg(long)]
    no_follow: bool,
    /// A line of JSON each
    #[arg(long)]
    json: bool,
    /// Only drops
    #[arg(long)]
    drops: bool,
    /// Only flows from or to this pod of the node
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pod: Vec<String>,
    /// Only flows from or to pods or Services of this namespace
    #[arg(short, long)]
    namespace: Vec<String>,
    /// Only flows from or to this address
    #[arg(long)]
    ip: Vec<IpAddr>,
    /// Only flows from or to this port
    #[arg(long)]
    port: Vec<u16>,
    /// Only this protocol: TCP, UDP, SCTP, ICMP, ICMPv6 or a number
    #[arg(long)]
    protocol: Vec<String>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let protocols = arguments.protocol.iter().map(|text| {
        protocol_number(text).ok_or_else(|| {
            anyhow::anyhow!(
                "'{text}' is no protocol: TCP, UDP, SCTP, ICMP, ICMPv6 or a number from 0 to 255"
            )
        })
    });
    let filter = Filter {
        drops: arguments.drops,
        pods: arguments.pod,
        namespaces: arguments.namespace,
        ips: arguments.ip,
        ports: arguments.port,
        protocols: protocols.collect::<Result<_, _>>()?,
    };
    let socket = arguments.run_dir.join("agent.sock");
    let question = Question::Observe { filter, follow: !arguments.no_follow };
    let mut lines =
        ask(&socket, &question).await.map_err(|e| anyhow::anyhow!(nobody(&socket, &e)))?;
    let text = Lines::local();
    let mut out = std::io::stdout();
    while let Some(line) = lines.next_line().await? {
        let written = match serde_json::from_str(&line)? {
            _ if arguments.json => writeln!(out, "{line}"),
            Observed::Flow(flow) => writeln!(out, "{}", text.line(&flow)),
            Observed::Lost(count) => writeln!(out, "({count} flows were too fast to show)"),
        };
        if written.is_err() {
            break; // the reader has seen enough
        }
    }
    Ok(ExitCode::SUCCESS)
}
