//! The controller as a whole: an election, and the leader's work.

use std::future::Future;

use fairlead_api::Client;
use fairlead_api::lease::{ApiStore, LeaseOptions, lead};
use tokio::sync::watch::Sender;

use crate::config::{Config, Error};
use crate::{LEASE, dns, ipam};

/// What the controller says of itself, for `status` and readiness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether this replica leads.
    pub leads: bool,
    /// Whether the leader's watch of Nodes works (only where it gives pod CIDRs).
    pub connected: bool,
    /// Nodes that have no pod CIDR (only where it gives them).
    pub nodes_without_cidr: usize,
}

/// Stands for election and, while it leads, works; until `shutdown`.
///
/// # Errors
///
/// A configuration that cannot be used. Everything else is tried again.
pub async fn run(
    client: Client,
    config: Config,
    status: Sender<Status>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let ranges = config.ipam.ranges()?;
    let store = ApiStore::new(client.clone(), &config.namespace, LEASE);
    let options = LeaseOptions::new(&config.identity);
    let leads = |leads| {
        status.send_replace(Status { leads, ..Status::default() });
    };
    let work = || async {
        let give_cidrs = async {
            if let Some(ranges) = &ranges {
                ipam::run(&client, ranges, &status).await;
            }
        };
        tokio::join!(give_cidrs, dns::run(&client, &config.dns));
    };
    lead(&store, &options, leads, work, shutdown).await;
    Ok(())
}
