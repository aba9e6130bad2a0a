//! One kind: list, watch, and go on where the watch broke off.
//!
//! Why not `kube::runtime::watcher` (4.2): with streaming lists it does not say where a list begins,
//! so what was deleted while a list was cut off would stay for ever, and it knows no way back to
//! paged lists for servers without them. This is the same loop with both.
//!
//! A list is a watch with `sendInitialEvents` (KEP-3157) where the server has it: objects come and
//! are decoded one at a time, so that memory does not grow with the size of the list. Else pages.

use std::collections::HashMap;
use std::time::Duration;

use fairlead_model::{Event, Kind, Object, ObjectName};
use kube::api::{ListParams, Request, WatchEvent, WatchParams};
use kube::{Api, Error};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::error::{code, explain};
use crate::health::Reporter;
use crate::lines::{Lines, open};
use crate::slim::Watched;

/// The server sends bookmarks about every minute; after two that did not come the connection is
/// taken for dead. To be wrong costs a request, the watch goes on where it was.
const QUIET: Duration = Duration::from_secs(130);
/// A streaming list that says nothing for so long is one that the server does not know: before
/// 1.27 it ignored the parameter and never sent the end mark.
const QUIET_LIST: Duration = Duration::from_secs(15);
/// Objects a page. A Node with many images is 50 kB of text, which is held until it is decoded.
const PAGE: u32 = 50;
const LIST_END: &str = "k8s.io/initial-events-end";

/// Which objects of the kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub labels: Option<String>,
    pub fields: Option<String>,
}

/// Why a session with the server ended before the server closed it.
enum End {
    /// The server no longer knows the version: list again.
    Expired,
    /// The server knows no streaming lists: use pages from now on.
    NoStreaming,
    Failed(Error),
    /// Nobody listens any more.
    Unheard,
}

impl From<Error> for End {
    fn from(e: Error) -> Self {
        match code(&e) {
            Some(410) => End::Expired,
            // What an API server answers whose etcd was restored from an older copy.
            _ if e.to_string().contains("Too large resource version") => End::Expired,
            _ => End::Failed(e),
        }
    }
}

pub(crate) struct Follow<K> {
    api: Api<K>,
    selection: Selection,
    events: mpsc::Sender<Event>,
    health: Reporter,
    streaming: bool,
    /// Where the next watch begins; `None` before a list is complete.
    version: Option<String>,
    /// The last value of each Node: most of their updates are heartbeats that change nothing here.
    last: Option<HashMap<ObjectName, Object>>,
}

impl<K: Watched> Follow<K> {
    pub(crate) fn new(
        api: Api<K>,
        selection: Selection,
        events: mpsc::Sender<Event>,
        health: Reporter,
    ) -> Self {
        let last = (K::KIND == Kind::Node).then(HashMap::new);
        Self { api, selection, events, health, streaming: true, version: None, last }
    }

    pub(crate) async fn run(mut self) {
        let events = self.events.clone();
        tokio::select! {
            () = events.closed() => {}
            () = self.sessions() => {}
        }
    }

    async fn sessions(&mut self) {
        let mut backoff = Backoff::new();
        loop {
            let began = tokio::time::Instant::now();
            let result = self.session().await;
            if began.elapsed() > Duration::from_secs(10) {
                backoff.reset();
            }
            match result {
                // The server closes each watch after some minutes: go on from the last version.
                Ok(()) => {}
                Err(End::Unheard) => return,
                Err(End::NoStreaming) => {
                    debug!(kind = ?K::KIND, "the API server has no streaming lists, using pages");
                    self.streaming = false;
                    continue;
                }
                Err(End::Expired) => self.version = None,
                Err(End::Failed(e)) => {
                    let why = explain(&e);
                    if self.health.failed(K::KIND, why.clone()) {
                        warn!(kind = ?K::KIND, "watching the API failed, trying again: {why}");
                    }
                }
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn session(&mut self) -> Result<(), End> {
        match self.version.clone() {
            Some(version) => self.resume(&version).await,
            None if self.streaming => self.streamed_list().await,
            None => {
                self.paged_list().await?;
                let version = self.version.clone().unwrap_or_default();
                self.resume(&version).await
            }
        }
    }

    async fn resume(&mut self, version: &str) -> Result<(), End> {
        let stream = self.open(false, version).await?;
        self.connected();
        self.pump(stream, false).await
    }

    async fn streamed_list(&mut self) -> Result<(), End> {
        // An empty version asks for the newest state: after a reconnect to another API server
        // "0" could be older than what was seen before.
        let stream = match self.open(true, "").await {
            Ok(stream) => stream,
            // 422: the feature is off (KEP-3157, section "Graduation Criteria").
            Err(e) if matches!(code(&e), Some(400 | 422)) => return Err(End::NoStreaming),
            Err(e) => return Err(e.into()),
        };
        self.connected();
        self.restart().await?;
        self.pump(stream, true).await
    }

    async fn paged_list(&mut self) -> Result<(), End> {
        let mut params = ListParams {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        let mut first = true;
        loop {
            let page = self.api.list(&params).await?;
            if std::mem::take(&mut first) {
                self.connected();
                self.restart().await?;
            }
            for object in page.items {
                self.apply(&object).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return self.synced(page.metadata.resource_version.unwrap_or_default()).await;
            }
        }
    }

    async fn open(&self, list: bool, version: &str) -> kube::Result<Lines<K>> {
        let params = WatchParams {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            timeout: Some(290),
            bookmarks: true,
            send_initial_events: list,
        };
        let request = Request::new(self.api.resource_url()).watch(&params, version);
        let request = request.map_err(Error::BuildRequest)?;
        open(&self.api.clone().into_client(), request).await
    }

    /// Passes a watch on until it ends. `list`: whether the list's end mark is still to come.
    async fn pump(&mut self, mut lines: Lines<K>, mut list: bool) -> Result<(), End> {
        loop {
            let quiet = if list { QUIET_LIST } else { QUIET };
            let event = match tokio::time::timeout(quiet, lines.next()).await {
                Ok(result) => result?,
                Err(_) if list => return Err(End::NoStreaming),
                Err(_) => return Ok(()),
            };
            let Some(event) = event else { return Ok(()) };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.apply(&object).await?;
                    self.reached(&object, list);
                }
                WatchEvent::Deleted(object) => {
                    self.delete(&object).await?;
                    self.reached(&object, list);
                }
                WatchEvent::Bookmark(mark) => {
                    if list && mark.metadata.annotations.contains_key(LIST_END) {
                        list = false;
                        self.synced(mark.metadata.resource_version).await?;
                    } else if !list {
                        self.version = Some(mark.metadata.resource_version);
                    }
                }
                WatchEvent::Error(status) => return Err(Error::Api(status).into()),
            }
        }
    }

    fn reached(&mut self, object: &K, list: bool) {
        if !list {
            self.version = object.meta().resource_version.clone().or(self.version.take());
        }
    }

    fn connected(&self) {
        if let Some(ended) = self.health.connected(K::KIND) {
            let seconds = ended.since.elapsed().as_secs();
            info!(kind = ?K::KIND, seconds, "watching the API works again");
        }
    }

    async fn restart(&mut self) -> Result<(), End> {
        if let Some(last) = &mut self.last {
            last.clear();
        }
        self.say(Event::Restart(K::KIND)).await
    }

    async fn synced(&mut self, version: String) -> Result<(), End> {
        self.version = Some(version);
        self.say(Event::Synced(K::KIND)).await?;
        self.health.synced(K::KIND);
        Ok(())
    }

    async fn apply(&mut self, object: &K) -> Result<(), End> {
        let object = object.object();
        if let Some(last) = &mut self.last {
            let name = object.name();
            if last.get(&name) == Some(&object) {
                return Ok(());
            }
            last.insert(name, object.clone());
        }
        self.say(Event::Apply(object)).await
    }

    async fn delete(&mut self, object: &K) -> Result<(), End> {
        let name = object.object().name();
        if let Some(last) = &mut self.last {
            last.remove(&name);
        }
        self.say(Event::Delete(K::KIND, name)).await
    }

    async fn say(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Unheard)
    }
}
