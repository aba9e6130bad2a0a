//! Saying a thing once, and trying it again.

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_api::Client;
use fairlead_api::objects::{Report, report};
use fairlead_model::ObjectName;
use tracing::warn;

use crate::COMPONENT;

/// How long after a failure something is tried again. Whatever fails here waits for a person or for
/// the API server; neither is faster.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);

/// What has been complained about, so that each thing is said once and not at every attempt.
#[derive(Default)]
pub(crate) struct Complaints(BTreeMap<ObjectName, String>);

impl Complaints {
    /// Logs, and writes an Event, unless this was the last thing said about the object.
    pub(crate) async fn say(&mut self, client: &Client, complaint: Report) {
        let Report { name, message, .. } = &complaint;
        if self.0.get(name) == Some(message) {
            return;
        }
        self.0.insert(name.clone(), message.clone());
        warn!("{message}");
        if let Err(e) = report(client, &complaint).await {
            warn!("{e}");
        }
    }

    /// The object is well: the next complaint is news.
    pub(crate) fn settled(&mut self, name: &ObjectName) {
        self.0.remove(name);
    }
}

/// A complaint about an object of this kind.
pub(crate) fn complaint(kind: &str, name: ObjectName, reason: &str, message: String) -> Report {
    Report {
        kind: kind.into(),
        name,
        warning: true,
        reason: reason.into(),
        message,
        by: COMPONENT.into(),
    }
}
