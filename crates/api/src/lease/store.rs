//! Where the Lease is kept.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use tokio::sync::Mutex;

use super::Record;
use crate::error::{Error, code};

/// A Lease: the API server's, or a test's.
pub trait Store {
    /// What it says, and its resource version; `None` where there is none.
    fn get(&self) -> impl Future<Output = Result<Option<(Record, String)>, Error>> + Send;

    /// Writes it if it still has this version (`None`: if there is none), else
    /// [`Error::is_conflict`]. Returns the new version.
    fn put(
        &self,
        record: &Record,
        version: Option<&str>,
    ) -> impl Future<Output = Result<String, Error>> + Send;
}

/// The Lease of this name on the API server.
pub struct ApiStore {
    api: Api<Lease>,
    name: String,
    /// As last read: a write keeps what it does not know (labels, acquireTime).
    last: Mutex<Option<Lease>>,
}

impl ApiStore {
    /// A Lease that need not exist yet.
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.into(), last: Mutex::new(None) }
    }

    fn what(&self) -> String {
        format!("Lease {}", self.name)
    }
}

impl Store for ApiStore {
    async fn get(&self) -> Result<Option<(Record, String)>, Error> {
        let lease =
            self.api.get_opt(&self.name).await.map_err(|e| Error::request(self.what(), &e))?;
        let found = lease.as_ref().map(|lease| (record(lease), version(lease)));
        *self.last.lock().await = lease;
        Ok(found)
    }

    async fn put(&self, record: &Record, expected: Option<&str>) -> Result<String, Error> {
        let mut last = self.last.lock().await;
        let mut lease = match expected {
            Some(_) => last.clone().unwrap_or_default(),
            None => Lease::default(),
        };
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.resource_version = expected.map(str::to_owned);
        lease.metadata.managed_fields = None;
        fill(lease.spec.get_or_insert_default(), record);
        let params = PostParams::default();
        let written = match expected {
            Some(_) => self.api.replace(&self.name, &params, &lease).await,
            None => self.api.create(&params, &lease).await,
        };
        let written = written.map_err(|e| match code(&e) {
            // Deleted in between: as much a conflict as a change.
            Some(404) if expected.is_some() => Error::Request {
                what: self.what(),
                why: "deleted in between".into(),
                code: Some(409),
            },
            _ => Error::request(self.what(), &e),
        })?;
        let version = version(&written);
        *last = Some(written);
        Ok(version)
    }
}

fn version(lease: &Lease) -> String {
    lease.metadata.resource_version.clone().unwrap_or_default()
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquires: false,
    }
}

fn fill(spec: &mut LeaseSpec, record: &Record) {
    let now = MicroTime(Timestamp::now());
    spec.holder_identity = Some(record.holder.clone());
    spec.lease_duration_seconds =
        Some(i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX));
    spec.lease_transitions = Some(record.transitions);
    if record.acquires {
        spec.acquire_time = Some(now.clone());
    }
    spec.renew_time = Some(now);
}
