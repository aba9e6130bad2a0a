//! One leader among replicas, by a Lease (coordination.k8s.io/v1), as client-go's leader election
//! does it: only local clocks are compared with themselves, every write is guarded by the
//! resource version, and a leader that cannot renew stops its work before anybody else may begin.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::error::Error;

mod core;
mod store;
#[cfg(test)]
mod tests;

pub use core::{Record, Step};
pub use store::{ApiStore, Store};

/// Who wants to lead, and how patient all are. The defaults are those of Kubernetes' own controllers.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// This replica's own name; the pod's name is unique enough.
    pub identity: String,
    /// How long others wait for a leader that says nothing.
    pub duration: Duration,
    /// How long a leader tries to renew before it stops; shorter than `duration`.
    pub renew_deadline: Duration,
    /// How often to look and to renew.
    pub retry: Duration,
}

impl LeaseOptions {
    /// The usual times, for this identity.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Runs `work` whenever this replica leads, until `shutdown`. When the lead is lost the work's
/// future is dropped, which cancels it at its next await; then the replica stands for election
/// again. On shutdown the Lease is given back, so that another takes over at once.
///
/// `leads` is told of each change, for `status`.
pub async fn lead<S, W, F>(
    store: &S,
    options: &LeaseOptions,
    mut leads: impl FnMut(bool),
    mut work: W,
    shutdown: impl Future<Output = ()>,
) where
    S: Store,
    W: FnMut() -> F,
    F: Future<Output = ()>,
{
    let mut candidate = core::Candidate::new(options);
    let elections = async {
        loop {
            acquire(store, options, &mut candidate).await;
            info!(identity = options.identity, "leading");
            leads(true);
            tokio::select! {
                why = renew(store, options, &mut candidate) => {
                    warn!(identity = options.identity, "no longer leading: {why}");
                }
                () = work() => {}
            }
            leads(false);
        }
    };
    tokio::select! {
        () = elections => {}
        () = shutdown => {}
    }
    if let Some((record, version)) = candidate.give_back() {
        // Not being able to say so costs the others the lease's duration, nothing else.
        let _ = tokio::time::timeout(options.retry, store.put(&record, Some(&version))).await;
    }
}

/// Returns when this replica leads.
async fn acquire<S: Store>(store: &S, options: &LeaseOptions, candidate: &mut core::Candidate) {
    let mut failing = false;
    loop {
        match attempt(store, options, candidate).await {
            Ok(true) => return,
            Ok(false) => failing = false,
            Err(why) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(identity = options.identity, "cannot stand for election: {why}");
                }
            }
        }
        tokio::time::sleep(options.retry).await;
    }
}

/// Returns when this replica no longer leads, with the reason.
async fn renew<S: Store>(
    store: &S,
    options: &LeaseOptions,
    candidate: &mut core::Candidate,
) -> String {
    let mut renewed = Instant::now();
    let mut why = String::new();
    loop {
        let deadline = renewed + options.renew_deadline;
        if Instant::now() >= deadline {
            return format!("not renewed within {:?}: {why}", options.renew_deadline);
        }
        tokio::time::sleep_until((Instant::now() + options.retry).min(deadline)).await;
        let began = Instant::now();
        match tokio::time::timeout_at(deadline, attempt(store, options, candidate)).await {
            Ok(Ok(true)) => renewed = began,
            Ok(Ok(false)) => return "another replica holds the Lease".into(),
            Ok(Err(e)) => why = e.to_string(),
            Err(_) => why = "the API server does not answer".into(),
        }
    }
}

/// Looks at the Lease and, where it is free or its own, writes it. Whether this replica leads now.
async fn attempt<S: Store>(
    store: &S,
    options: &LeaseOptions,
    candidate: &mut core::Candidate,
) -> Result<bool, Error> {
    // A write that was sent and not answered may have succeeded: what is there is always read.
    let once = async {
        let found = store.get().await?;
        let version = found.as_ref().map(|(_, version)| version.clone());
        let Step::Write(record) = candidate.look(found, Instant::now()) else { return Ok(false) };
        match store.put(&record, version.as_deref()).await {
            Ok(version) => {
                candidate.wrote(record, version, Instant::now());
                Ok(true)
            }
            // Somebody was faster; the next look tells who.
            Err(e) if e.is_conflict() => Ok(false),
            Err(e) => Err(e),
        }
    };
    match tokio::time::timeout(options.renew_deadline / 2, once).await {
        Ok(result) => result,
        Err(_) => Err(Error::Request {
            what: "the Lease".into(),
            why: format!("no answer within {:?}", options.renew_deadline / 2),
            code: None,
        }),
    }
}
