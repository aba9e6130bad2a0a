//! The objects that agents see: what an API server would hold.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The kinds that agents read, in the order in which they are listed.
const KINDS: [&str; 5] = ["Namespace", "Node", "Service", "EndpointSlice", "Pod"];

/// Kind, namespace, name.
type Key = (String, String, String);

#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    version: u64,
    /// By node: lines to its agent's standard input.
    feeds: BTreeMap<String, Sender<String>>,
}

impl Store {
    /// Lists everything to a new agent of `node`, which from then on hears of changes.
    pub(crate) fn attach(&self, node: &str, feed: Sender<String>) {
        let mut state = self.lock();
        state.list(&feed);
        state.feeds.insert(node.into(), feed);
    }

    /// Ends the feed of `node`'s agent: its standard input reaches its end.
    pub(crate) fn detach(&self, node: &str) {
        self.lock().feeds.remove(node);
    }

    pub(crate) fn apply(&self, mut object: Value) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let key = key(&object);
        let old = state.objects.get(&key).map(|old| old["metadata"]["uid"].clone());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        if metadata["uid"].is_null() {
            let new = || json!(format!("00000000-0000-4000-8000-{version:012}"));
            metadata["uid"] = old.unwrap_or_else(new);
        }
        state.tell(&json!({"type": kind, "object": object}));
        state.objects.insert(key, object);
    }

    pub(crate) fn delete(&self, object: &Value) {
        let mut state = self.lock();
        if let Some(old) = state.objects.remove(&key(object)) {
            state.tell(&json!({"type": "DELETED", "object": old}));
        }
    }

    pub(crate) fn relist(&self) {
        let state = self.lock();
        state.feeds.values().for_each(|feed| state.list(feed));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn list(&self, feed: &Sender<String>) {
        for kind in KINDS {
            send(feed, &json!({"type": "RESTART", "kind": kind}));
            for (_, object) in self.objects.iter().filter(|(key, _)| key.0 == kind) {
                send(feed, &json!({"type": "ADDED", "object": object}));
            }
            send(feed, &json!({"type": "SYNCED", "kind": kind}));
        }
    }

    fn tell(&self, event: &Value) {
        self.feeds.values().for_each(|feed| send(feed, event));
    }
}

/// An agent that has ended misses the line; its next start is listed everything.
fn send(feed: &Sender<String>, event: &Value) {
    let _ = feed.send(format!("{event}\n"));
}

fn key(object: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn service(name: &str) -> Value {
        json!({"kind": "Service", "metadata": {"name": name, "namespace": "default"}})
    }

    #[test]
    fn an_agent_is_listed_what_exists_and_then_told_changes() {
        let store = Store::default();
        store.apply(service("old"));
        let (sender, receiver) = mpsc::channel();
        store.attach("n1", sender);
        let listed: Vec<_> = receiver.try_iter().filter(|l| l.contains("Service")).collect();
        assert!(listed[0].contains("RESTART") && listed[2].contains("SYNCED"), "{listed:?}");
        assert!(listed[1].contains(r#""name":"old""#) && listed[1].contains("ADDED"));
        store.apply(service("old"));
        store.delete(&service("old"));
        store.delete(&service("old"));
        let told: Vec<_> = receiver.try_iter().collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("MODIFIED") && told[1].contains("DELETED"));
        store.detach("n1");
        assert!(receiver.recv().is_err(), "the feed has ended");
    }
}
