//! All watches of one program, as one stream of model events.

use fairlead_model::{Event, Kind, ObjectName, SERVICE_NAME_LABEL};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::follow::{Follow, Selection};
use crate::health::{Health, Reporter, health};
use crate::slim::Slim;

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The kinds; each has a task and a connection of its own.
    pub kinds: Vec<Kind>,
    /// Only Pods of this node; all Pods of the cluster when not set.
    pub node_name: Option<String>,
    /// Only this Service; all of the cluster when not set.
    pub service: Option<ObjectName>,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { kinds: Kind::ALL.to_vec(), node_name: None, service: None }
    }
}

/// Running watches. They end when the receiver is dropped.
#[derive(Debug)]
pub struct Watch {
    /// What they say. A slow reader slows the watches down, it loses nothing.
    pub events: mpsc::Receiver<Event>,
    /// How they do.
    pub health: Health,
}

/// Begins to watch, and goes on for ever: errors end up in the health and, once an episode, in the
/// log. For each kind the order is Restart, Apply…, Synced, then Apply and Delete as they come;
/// another Restart when the server no longer knows where the watch was. A list that was cut off
/// begins again with a Restart, so a Synced always closes a complete one.
pub fn watch(client: &Client, options: &WatchOptions) -> Watch {
    let (sender, events) = mpsc::channel(256);
    let (reporter, health) = health(&options.kinds);
    for kind in &options.kinds {
        start(*kind, client.clone(), options, sender.clone(), reporter.clone());
    }
    Watch { events, health }
}

fn start(
    kind: Kind,
    client: Client,
    options: &WatchOptions,
    events: mpsc::Sender<Event>,
    health: Reporter,
) {
    match kind {
        Kind::Service => {
            let (api, selection) = services(client, options);
            tokio::spawn(Follow::new(api, selection, events, health).run());
        }
        Kind::EndpointSlice => {
            // A slice without this label belongs to no Service.
            let selection = Selection { labels: Some(SERVICE_NAME_LABEL.into()), fields: None };
            let api = Api::<Slim<discovery::EndpointSlice>>::all(client);
            tokio::spawn(Follow::new(api, selection, events, health).run());
        }
        Kind::Node => {
            let api = Api::<Slim<core::Node>>::all(client);
            tokio::spawn(Follow::new(api, Selection::default(), events, health).run());
        }
        Kind::Pod => {
            let fields = options.node_name.as_ref().map(|node| format!("spec.nodeName={node}"));
            let api = Api::<Slim<core::Pod>>::all(client);
            let selection = Selection { labels: None, fields };
            tokio::spawn(Follow::new(api, selection, events, health).run());
        }
        Kind::Namespace => {
            let api = Api::<Slim<core::Namespace>>::all(client);
            tokio::spawn(Follow::new(api, Selection::default(), events, health).run());
        }
    }
}

fn services(client: Client, options: &WatchOptions) -> (Api<Slim<core::Service>>, Selection) {
    match &options.service {
        None => (Api::all(client), Selection::default()),
        Some(one) => {
            let fields = Some(format!("metadata.name={}", one.name));
            (Api::namespaced(client, &one.namespace), Selection { labels: None, fields })
        }
    }
}

#[cfg(test)]
mod tests;
