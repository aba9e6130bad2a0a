//! The nodes: each cleans itself, then the agents go.

use std::time::Duration;

use fairlead_api::removal::Kind;
use fairlead_api::rollout::{PodState, Rollout};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Steady};
use super::{Error, objects, plan};

/// How long pods may take to end once their DaemonSet is deleted: their grace period is 5 seconds.
const ENDING: Duration = Duration::from_secs(60);

/// Cleans all nodes and deletes the DaemonSet.
pub(super) async fn clean<C: Cluster>(
    steady: &Steady<'_, C>,
    report: &mut impl FnMut(&str),
) -> Result<(), Error> {
    match tell_agents(steady, report).await? {
        Some(command) => wait_until_clean(steady, &command, report).await?,
        None => report(
            "there is no DaemonSet fairlead-agent: the nodes are taken for cleaned (where one is \
             not, `fairlead cleanup` on the node does it)",
        ),
    }
    let set = plan::target(Kind::DaemonSet, &steady.options.namespace, plan::AGENT);
    objects::delete(steady, &set, None, report).await?;
    let stay = wait_until_ended(steady, plan::AGENT, ENDING).await?;
    match stay.is_empty() {
        true => Ok(()),
        false => Err(Error::PodsStay(stay.join(", "))),
    }
}

/// What they run now; `None` where there is no DaemonSet.
async fn tell_agents<C: Cluster>(
    steady: &Steady<'_, C>,
    report: &mut impl FnMut(&str),
) -> Result<Option<Vec<String>>, Error> {
    let Some(agents) = steady.ask(async |c| c.agents().await).await? else { return Ok(None) };
    let command = plan::cleanup_command(&agents.command);
    if !steady.ask(async |c| c.replace_command(&command).await).await? {
        return Ok(None);
    }
    report(&format!("DaemonSet fairlead-agent runs `{}` on every node", command.join(" ")));
    Ok(Some(command))
}

async fn wait_until_clean<C: Cluster>(
    steady: &Steady<'_, C>,
    command: &[String],
    report: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let deadline = Instant::now() + steady.options.timeout;
    let mut said = String::new();
    loop {
        let Some(agents) = steady.ask(async |c| c.agents().await).await? else { return Ok(()) };
        if agents.command != command {
            return Err(Error::ChangedBack(agents.command.join(" ")));
        }
        // Until the status is of this specification it counts agents.
        if agents.observed {
            let progress = format!("{} of {} nodes cleaned", agents.nodes_done(), agents.desired);
            if progress != said {
                report(&progress);
                said = progress;
            }
        }
        if agents.done() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(not_cleaned(steady, command, &agents).await?);
        }
        sleep(steady.options.poll).await;
    }
}

async fn not_cleaned<C: Cluster>(
    steady: &Steady<'_, C>,
    command: &[String],
    agents: &Rollout,
) -> Result<Error, Error> {
    let pods = steady.ask(async |c| c.pods(plan::AGENT).await).await?;
    let mut nodes: Vec<String> = pods.iter().filter_map(|pod| missing(pod, command)).collect();
    if nodes.is_empty() {
        nodes.push(
            "Kubernetes has made no pods for them (does kube-controller-manager run?)".into(),
        );
    }
    Ok(Error::NotCleaned {
        after: steady.options.timeout,
        done: agents.nodes_done(),
        desired: agents.desired,
        nodes,
        namespace: steady.options.namespace.clone(),
    })
}

/// A pod whose node is not cleaned.
fn missing(pod: &PodState, command: &[String]) -> Option<String> {
    let why = match &pod.waits {
        Some(why) => why,
        None if pod.command != command => "still runs the agent",
        None => return None,
    };
    Some(format!("{} (pod {}: {why})", pod.node, pod.name))
}

/// The pods that are left when none is, or when it takes too long.
pub(super) async fn wait_until_ended<C: Cluster>(
    steady: &Steady<'_, C>,
    app: &str,
    patience: Duration,
) -> Result<Vec<String>, fairlead_api::Error> {
    let deadline = Instant::now() + patience.min(steady.options.timeout);
    loop {
        let pods = steady.ask(async |c| c.pods(app).await).await?;
        if pods.is_empty() || Instant::now() >= deadline {
            return Ok(pods.iter().map(|pod| format!("{} on {}", pod.name, pod.node)).collect());
        }
        sleep(steady.options.poll).await;
    }
}
