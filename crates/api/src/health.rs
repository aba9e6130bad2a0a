//! How the watches are doing, for `status`, readiness and logs.

use std::collections::BTreeMap;
use std::time::Instant;

use fairlead_model::Kind;
use tokio::sync::watch;

/// How the watch of one kind is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindHealth {
    /// Whether all objects of the kind have been said at least once.
    pub synced: bool,
    /// Since when the server answers; `None` while it does not.
    pub connected_since: Option<Instant>,
    /// The error that the watch is in; `None` once the server answers again.
    pub error: Option<LastError>,
}

/// An error that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When it began.
    pub since: Instant,
    /// What it is now.
    pub message: String,
}

/// The health of all watches; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(watch::Receiver<BTreeMap<Kind, KindHealth>>);

/// The side of the watches.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(std::sync::Arc<watch::Sender<BTreeMap<Kind, KindHealth>>>);

pub(crate) fn health(kinds: &[Kind]) -> (Reporter, Health) {
    let all = kinds.iter().map(|kind| (*kind, KindHealth::default())).collect();
    let (sender, receiver) = watch::channel(all);
    (Reporter(sender.into()), Health(receiver))
}

impl Health {
    /// The state of each kind that is watched.
    pub fn snapshot(&self) -> BTreeMap<Kind, KindHealth> {
        self.0.borrow().clone()
    }

    /// Whether every kind has been listed once. What was said may still be in the channel: who acts
    /// on complete lists counts the Synced events instead.
    pub fn all_synced(&self) -> bool {
        self.0.borrow().values().all(|kind| kind.synced)
    }

    /// Whether no kind is in an error.
    pub fn all_connected(&self) -> bool {
        self.0.borrow().values().all(|kind| kind.connected_since.is_some())
    }

    /// Waits for a change; `false` when the watches have ended.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Reporter {
    /// The server answers. Returns the error that this ends.
    pub(crate) fn connected(&self, kind: Kind) -> Option<LastError> {
        let mut ended = None;
        self.change(kind, |h| {
            if h.connected_since.is_some() {
                return false;
            }
            h.connected_since = Some(Instant::now());
            ended = h.error.take();
            true
        });
        ended
    }

    pub(crate) fn synced(&self, kind: Kind) {
        self.change(kind, |h| !std::mem::replace(&mut h.synced, true));
    }

    /// The server does not answer as it should. Returns whether this begins an episode.
    pub(crate) fn failed(&self, kind: Kind, message: String) -> bool {
        let mut begins = false;
        self.change(kind, |h| {
            h.connected_since = None;
            begins = h.error.is_none();
            let since = h.error.as_ref().map_or_else(Instant::now, |e| e.since);
            h.error = Some(LastError { since, message });
            true
        });
        begins
    }

    fn change(&self, kind: Kind, f: impl FnOnce(&mut KindHealth) -> bool) {
        self.0.send_if_modified(|all| all.get_mut(&kind).is_some_and(f));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_keeps_its_beginning() {
        let (reporter, health) = health(&[Kind::Node]);
        assert!(reporter.failed(Kind::Node, "refused".into()));
        let since = health.snapshot()[&Kind::Node].error.clone().unwrap().since;
        assert!(!reporter.failed(Kind::Node, "timed out".into()));
        let error = health.snapshot()[&Kind::Node].error.clone().unwrap();
        assert_eq!((error.since, error.message.as_str()), (since, "timed out"));
        assert!(!health.all_connected());
        assert_eq!(reporter.connected(Kind::Node).unwrap().since, since);
        assert!(health.all_connected() && reporter.connected(Kind::Node).is_none());
    }
}
