//! `fairlead uninstall`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use fairlead_controller::uninstall;

use crate::{ConfigArgument, api, config, log};

const WARNING: &str = "\
This removes Fairlead from every node and from the cluster. Pods lose their network at once, Services
and names stop working, and new pods don't start until another network is installed.";

/// Only a connection that is open by then outlives the socket hooks.
const SERVICE_ADDRESS: &str = "\
The API server is known here by its Service address alone, which may end with this node's datapath. If
it does, go on where a kubeconfig is: fairlead uninstall --kubeconfig FILE";

#[derive(Args)]
#[command(after_long_help = "\
In the cluster, by the controller's rights:
  kubectl -n kube-system exec deploy/fairlead-controller -- fairlead uninstall --yes
Anywhere else with a kubeconfig of somebody who may delete the manifest's objects:
  fairlead uninstall [--kubeconfig FILE]

First every node is cleaned, by its agent's pod. Only when all nodes are, objects are deleted. Run it
again after an interruption: it goes on. What pods the nodes still run should be deleted afterwards,
or the nodes rebooted: they have no network.

Exit status: 0 all is removed, 1 not all is, and the last line says how to go on.")]
pub struct Arguments {
    /// Don't ask; needed where nobody can be asked, as in `kubectl exec` without -it
    #[arg(short, long)]
    yes: bool,
    /// How long nodes may take to be cleaned, such as 90s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// The namespace of the manifest's objects
    #[arg(long, default_value = "kube-system")]
    namespace: String,
    #[command(flatten)]
    config: ConfigArgument,
    /// A kubeconfig; without it the pod's service account, KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// In a pod: where the node's own files are seen
    #[arg(long, value_name = "DIR", default_value = "/host", hide = true)]
    host_root: PathBuf,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    log::start("warn")?;
    anyhow::ensure!(
        arguments.yes || std::io::stdin().is_terminal(),
        "pods would lose their network, and there is no terminal to ask on: give --yes if you mean it"
    );
    let options = connection(&arguments)?;
    let connection = fairlead_api::connect(&options).await;
    let connection =
        connection.context("no cluster to uninstall from (--kubeconfig FILE names one)")?;
    say(&format!("cluster {} (by {})", connection.server, connection.found_by));
    if connection.found_by.contains("environment") {
        say(SERVICE_ADDRESS);
    }
    if !arguments.yes && !confirmed()? {
        say("nothing was done");
        return Ok(ExitCode::FAILURE);
    }
    let options = uninstall::Options {
        namespace: arguments.namespace,
        timeout: arguments.timeout,
        ..uninstall::Options::default()
    };
    uninstall::run(connection.client, &options, say).await?;
    Ok(ExitCode::SUCCESS)
}

/// In the controller's pod the API server is looked for as the controller does, not at the address
/// in the environment first: that is a Service's, and ends with the datapath of this node.
fn connection(arguments: &Arguments) -> anyhow::Result<fairlead_api::Options> {
    let kubeconfig = arguments.kubeconfig.clone();
    let token = fairlead_api::Options::default().service_account.join("token");
    if kubeconfig.is_some() || !Path::exists(&token) {
        return Ok(api::personal(kubeconfig));
    }
    let file = config::read(arguments.config.config.as_deref())?;
    Ok(api::in_cluster(&file.api_server, None, &arguments.host_root))
}

fn confirmed() -> anyhow::Result<bool> {
    say(WARNING);
    print!("Type yes to go on: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("no answer")?;
    Ok(answer.trim() == "yes")
}

/// Whoever reads may go away, such as a `kubectl exec` that is interrupted; the work goes on.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `90s`, `5m`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = unit.zip(digits.parse::<u64>().ok()).and_then(|(unit, n)| n.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("'{text}' is not a time such as 90s, 5m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_kubectl_writes_them() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("1h"), Ok(3600));
        assert_eq!(seconds("7"), Ok(7));
        for wrong in ["", "m", "5ms", "1d", "-1s", "99999999999999999999h", "18446744073709551615h"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
