//! The objects, in the order in which the rights to delete them last.

use std::time::Duration;

use fairlead_api::removal::{Found, Kind, Target};

use super::cluster::{Cluster, Steady, refused};
use super::{Error, nodes, plan};
use crate::core::service::MANAGED_BY;

/// How long the controller may take to end before `kube-dns` is deleted regardless.
const ENDING: Duration = Duration::from_secs(30);

/// Deletes all that is left once the agents are gone.
pub(super) async fn remove<C: Cluster>(
    steady: &Steady<'_, C>,
    report: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let namespace = steady.options.namespace.as_str();
    for target in plan::of_the_agents(namespace) {
        delete(steady, &target, None, report).await?;
    }
    let dns = managed_dns(steady, report).await?;
    let role = plan::target(Kind::ClusterRole, namespace, plan::CONTROLLER);
    let binding = plan::target(Kind::RoleBinding, namespace, plan::CONTROLLER);
    let owner = steady.ask(async |c| c.find(&role).await).await?;
    if let Some(owner) = &owner {
        let dns = dns.is_some().then(plan::kube_dns);
        for target in plan::of_the_controller(namespace).into_iter().chain(dns) {
            steady.ask(async |c| c.adopt(&target, &role, &owner.uid).await).await?;
        }
    }
    delete(steady, &binding, None, report).await?;
    delete(steady, &role, None, report).await?;
    match rest(steady, dns.as_ref(), report).await {
        // Those were the rights by which this ran.
        Err(e) if owner.is_some() && refused(&e) => report(
            "the rest (the controller with this pod, its account, ConfigMap, Lease and kube-dns) \
             is deleted by Kubernetes' garbage collector within seconds",
        ),
        ended => ended?,
    }
    report("Fairlead is removed from this cluster");
    Ok(())
}

/// Whoever has other rights than the controller's need not wait for the garbage collector.
async fn rest<C: Cluster>(
    steady: &Steady<'_, C>,
    dns: Option<&Found>,
    report: &mut impl FnMut(&str),
) -> Result<(), fairlead_api::Error> {
    for target in plan::of_the_controller(&steady.options.namespace) {
        delete(steady, &target, None, report).await?;
    }
    if let Some(dns) = dns {
        nodes::wait_until_ended(steady, plan::CONTROLLER, ENDING).await?;
        delete(steady, &plan::kube_dns(), Some(&dns.uid), report).await?;
    }
    Ok(())
}

/// The `kube-dns` that the controller made, if it is that.
async fn managed_dns<C: Cluster>(
    steady: &Steady<'_, C>,
    report: &mut impl FnMut(&str),
) -> Result<Option<Found>, fairlead_api::Error> {
    let dns = plan::kube_dns();
    let found = steady.ask(async |c| c.find(&dns).await).await?;
    let (label, value) = MANAGED_BY;
    match found {
        Some(found) if found.labels.get(label).is_some_and(|v| v == value) => Ok(Some(found)),
        Some(_) => {
            report(&format!("{dns} stays: it has no label {label}={value}"));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Deletes one, and says so if there was one.
pub(super) async fn delete<C: Cluster>(
    steady: &Steady<'_, C>,
    target: &Target,
    uid: Option<&str>,
    report: &mut impl FnMut(&str),
) -> Result<(), fairlead_api::Error> {
    if steady.ask(async |c| c.delete(target, uid).await).await? {
        report(&format!("deleted {target}"));
    }
    Ok(())
}
