//! What is asked of the API server; a test asks a model of one.

use std::future::Future;

use fairlead_api::removal::{self, Found, Target};
use fairlead_api::rollout::{self, PodState, Rollout};
use fairlead_api::{Client, Error};
use fairlead_model::ObjectName;
use tokio::time::{Instant, sleep};

use super::{Options, plan};

/// The API server, or a test's.
pub(super) trait Cluster {
    fn find(&self, target: &Target) -> impl Future<Output = Result<Option<Found>, Error>>;
    fn delete(
        &self,
        target: &Target,
        uid: Option<&str>,
    ) -> impl Future<Output = Result<bool, Error>>;
    fn adopt(
        &self,
        target: &Target,
        owner: &Target,
        uid: &str,
    ) -> impl Future<Output = Result<(), Error>>;
    fn agents(&self) -> impl Future<Output = Result<Option<Rollout>, Error>>;
    fn replace_command(&self, command: &[String]) -> impl Future<Output = Result<bool, Error>>;
    fn pods(&self, app: &str) -> impl Future<Output = Result<Vec<PodState>, Error>>;
}

/// The real one.
pub(super) struct ApiCluster {
    pub client: Client,
    pub namespace: String,
}

impl ApiCluster {
    fn daemon_set(&self) -> ObjectName {
        ObjectName::new(&self.namespace, plan::AGENT)
    }
}

impl Cluster for ApiCluster {
    async fn find(&self, target: &Target) -> Result<Option<Found>, Error> {
        removal::find(&self.client, target).await
    }

    async fn delete(&self, target: &Target, uid: Option<&str>) -> Result<bool, Error> {
        removal::delete(&self.client, target, uid).await
    }

    async fn adopt(&self, target: &Target, owner: &Target, uid: &str) -> Result<(), Error> {
        removal::adopt(&self.client, target, owner, uid).await
    }

    async fn agents(&self) -> Result<Option<Rollout>, Error> {
        rollout::rollout(&self.client, &self.daemon_set(), plan::CONTAINER).await
    }

    async fn replace_command(&self, command: &[String]) -> Result<bool, Error> {
        rollout::replace_command(&self.client, &self.daemon_set(), plan::CONTAINER, command).await
    }

    async fn pods(&self, app: &str) -> Result<Vec<PodState>, Error> {
        rollout::pods(&self.client, &self.namespace, app, plan::CONTAINER).await
    }
}

/// Asks again when the API server is away for a moment, as it may be while its own node loses the
/// network that this removes.
pub(super) struct Steady<'a, C> {
    pub cluster: &'a C,
    pub options: &'a Options,
}

impl<C: Cluster> Steady<'_, C> {
    /// The answer, or the last error when the server was away all the time that nodes may take.
    pub async fn ask<T>(&self, question: impl AsyncFn(&C) -> Result<T, Error>) -> Result<T, Error> {
        let deadline = Instant::now() + self.options.timeout;
        loop {
            match question(self.cluster).await {
                Err(e) if passes(&e) && Instant::now() < deadline => {}
                answer => return answer,
            }
            sleep(self.options.poll).await;
        }
    }
}

/// No answer, too many requests, or the server's own trouble.
fn passes(e: &Error) -> bool {
    matches!(e, Error::Request { code: None | Some(429 | 500..), .. })
}

/// The server knows who asks, and that it may not; or knows no longer who asks.
pub(super) fn refused(e: &Error) -> bool {
    matches!(e, Error::Request { code: Some(401 | 403), .. })
}
