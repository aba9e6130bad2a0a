use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fairlead_model::{Node, Object};
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What a scripted API server answers to one request.
enum Answer {
    /// A status code and a body.
    Whole(u16, Value),
    /// A watch that says these and then ends, by an error if so asked.
    Stream(Vec<Value>, Close),
}

#[derive(Clone, Copy)]
enum Close {
    Cleanly,
    Broken,
    Never,
}

/// An API server that answers one request after the other from a script, and never again after it.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(script: Vec<Answer>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into())), ..Self::default() }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request.uri().to_string()).await }
        });
        Client::new(service, "default")
    }

    async fn answer(
        &self,
        uri: String,
    ) -> Result<
        Response<impl hyper::body::Body<Data = Bytes, Error = std::io::Error> + use<>>,
        std::io::Error,
    > {
        self.asked.lock().unwrap().push(uri);
        let next = self.script.lock().unwrap().pop_front();
        let (code, lines, close) = match next {
            Some(Answer::Whole(code, body)) => (code, vec![body], Close::Cleanly),
            Some(Answer::Stream(lines, close)) => (200, lines, close),
            None => std::future::pending().await,
        };
        let frames = lines.into_iter().map(|v| Ok(Frame::data(Bytes::from(format!("{v}\n")))));
        let end = match close {
            Close::Cleanly => stream::empty().boxed(),
            Close::Broken => stream::iter([Err(std::io::Error::other("broken"))]).boxed(),
            Close::Never => stream::pending().boxed(),
        };
        let body = StreamBody::new(stream::iter(frames).chain(end));
        Ok(Response::builder().status(code).body(body).unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn node(name: &str, version: &str, address: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version},
           "status": {"addresses": [{"type": "InternalIP", "address": address}],
                      "images": [{"names": [version]}]}})
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn bookmark(version: &str, end: bool) -> Value {
    let annotations = if end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    event(
        "BOOKMARK",
        json!({"kind": "Node", "apiVersion": "v1",
        "metadata": {"resourceVersion": version, "annotations": annotations}}),
    )
}

fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
           "message": message, "reason": ""})
}

fn applied(name: &str, address: &str) -> Event {
    Event::Apply(Object::Node(Node {
        name: name.into(),
        internal_ips: vec![address.parse().unwrap()],
        external_ips: vec![],
        pod_cidrs: vec![],
    }))
}

fn nodes(server: &Server) -> Watch {
    watch(&server.client(), &WatchOptions { kinds: vec![Kind::Node], ..WatchOptions::default() })
}

async fn next(watch: &mut Watch) -> Event {
    tokio::time::timeout(std::time::Duration::from_secs(600), watch.events.recv())
        .await
        .expect("an event in time")
        .expect("a watch that runs")
}

async fn expect(watch: &mut Watch, events: &[Event]) {
    for wanted in events {
        assert_eq!(&next(watch).await, wanted);
    }
}

/// Nothing more is said, however long one waits (the clock is paused, so this costs no time).
async fn expect_silence(watch: &mut Watch) {
    let wait = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(wait, watch.events.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_is_said_as_restart_objects_and_synced() {
    let server = Server::new(vec![Answer::Stream(
        vec![
            event("ADDED", node("a", "3", "192.0.2.1")),
            bookmark("5", true),
            event("ADDED", node("b", "6", "192.0.2.2")),
            event("DELETED", node("a", "7", "192.0.2.1")),
        ],
        Close::Never,
    )]);
    let mut watch = nodes(&server);
    expect(
        &mut watch,
        &[
            Event::Restart(Kind::Node),
            applied("a", "192.0.2.1"),
            Event::Synced(Kind::Node),
            applied("b", "192.0.2.2"),
            Event::Delete(Kind::Node, ObjectName::new("", "a")),
        ],
    )
    .await;
    assert!(server.asked()[0].contains("sendInitialEvents=true"), "{:?}", server.asked());
    assert!(watch.health.all_synced() && watch.health.all_connected());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_changes_nothing_for_the_network_is_not_said() {
    let server = Server::new(vec![Answer::Stream(
        vec![
            event("ADDED", node("a", "3", "192.0.2.1")),
            bookmark("5", true),
            event("MODIFIED", node("a", "6", "192.0.2.1")),
            event("MODIFIED", node("a", "7", "192.0.2.9")),
        ],
        Close::Never,
    )]);
    let mut watch = nodes(&server);
    expect(
        &mut watch,
        &[
            Event::Restart(Kind::Node),
            applied("a", "192.0.2.1"),
            Event::Synced(Kind::Node),
            applied("a", "192.0.2.9"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_listed_in_pages() {
    let server = Server::new(vec![
        Answer::Whole(422, status(422, "sendInitialEvents is forbidden for watch")),
        Answer::Whole(
            200,
            json!({"metadata": {"resourceVersion": "9", "continue": "next"},
                                  "items": [node("a", "3", "192.0.2.1")]}),
        ),
        Answer::Whole(
            200,
            json!({"metadata": {"resourceVersion": "9"},
                                  "items": [node("b", "4", "192.0.2.2")]}),
        ),
        Answer::Stream(vec![], Close::Never),
    ]);
    let mut watch = nodes(&server);
    expect(
        &mut watch,
        &[
            Event::Restart(Kind::Node),
            applied("a", "192.0.2.1"),
            applied("b", "192.0.2.2"),
            Event::Synced(Kind::Node),
        ],
    )
    .await;
    expect_silence(&mut watch).await;
    let asked = server.asked();
    assert!(asked[2].contains("continue=next") && asked[2].contains("limit="), "{asked:?}");
    assert!(asked[3].contains("watch=true") && asked[3].contains("resourceVersion=9"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_streaming_lists_is_found_out() {
    let server = Server::new(vec![
        Answer::Stream(vec![event("ADDED", node("a", "3", "192.0.2.1"))], Close::Never),
        Answer::Whole(200, json!({"metadata": {"resourceVersion": "9"}, "items": []})),
    ]);
    let mut watch = nodes(&server);
    expect(
        &mut watch,
        &[
            Event::Restart(Kind::Node),
            applied("a", "192.0.2.1"),
            Event::Restart(Kind::Node),
            Event::Synced(Kind::Node),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_cut_off_begins_again_with_a_restart() {
    for close in [Close::Cleanly, Close::Broken] {
        let server = Server::new(vec![
            Answer::Stream(vec![event("ADDED", node("a", "3", "192.0.2.1"))], close),
            Answer::Stream(
                vec![event("ADDED", node("b", "4", "192.0.2.2")), bookmark("5", true)],
                Close::Never,
            ),
        ]);
        let mut watch = nodes(&server);
        expect(
            &mut watch,
            &[
                Event::Restart(Kind::Node),
                applied("a", "192.0.2.1"),
                Event::Restart(Kind::Node),
                applied("b", "192.0.2.2"),
                Event::Synced(Kind::Node),
            ],
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_off_goes_on_from_the_last_version_without_a_list() {
    let server = Server::new(vec![
        Answer::Stream(vec![bookmark("5", true), bookmark("8", false)], Close::Broken),
        Answer::Whole(503, status(503, "the server is starting")),
        Answer::Stream(vec![event("ADDED", node("a", "9", "192.0.2.1"))], Close::Cleanly),
        Answer::Stream(vec![], Close::Never),
    ]);
    let mut watch = nodes(&server);
    expect(
        &mut watch,
        &[Event::Restart(Kind::Node), Event::Synced(Kind::Node), applied("a", "192.0.2.1")],
    )
    .await;
    expect_silence(&mut watch).await;
    let asked = server.asked();
    for again in &asked[1..3] {
        assert!(again.contains("resourceVersion=8"), "{asked:?}");
        assert!(!again.contains("sendInitialEvents"), "{asked:?}");
    }
    assert!(asked[3].contains("resourceVersion=9"), "{asked:?}");
    assert!(watch.health.all_connected());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_has_forgotten_leads_to_a_new_list() {
    let server = Server::new(vec![
        Answer::Stream(
            vec![event("ADDED", node("a", "3", "192.0.2.1")), bookmark("5", true)],
            Close::Cleanly,
        ),
        Answer::Stream(
            vec![event("ERROR", status(410, "too old resource version"))],
            Close::Cleanly,
        ),
        Answer::Stream(
            vec![event("ADDED", node("a", "3", "192.0.2.1")), bookmark("900", true)],
            Close::Never,
        ),
    ]);
    let mut watch = nodes(&server);
    // The unchanged Node is said again after the Restart, else a reader would take it for gone.
    let list = [Event::Restart(Kind::Node), applied("a", "192.0.2.1"), Event::Synced(Kind::Node)];
    expect(&mut watch, &list).await;
    expect(&mut watch, &list).await;
}

#[tokio::test(start_paused = true)]
async fn missing_rights_are_an_error_in_the_health_that_says_what_to_do() {
    let forbidden = || Answer::Whole(403, status(403, "nodes is forbidden: cannot list"));
    let server = Server::new(vec![
        forbidden(),
        forbidden(),
        Answer::Stream(vec![bookmark("5", true)], Close::Never),
    ]);
    let mut watch = nodes(&server);
    while watch.health.snapshot()[&Kind::Node].error.is_none() {
        assert!(watch.health.changed().await);
    }
    let error = watch.health.snapshot()[&Kind::Node].error.clone().unwrap();
    assert!(error.message.contains("cannot list") && error.message.contains("RBAC"), "{error:?}");
    expect(&mut watch, &[Event::Restart(Kind::Node), Event::Synced(Kind::Node)]).await;
    assert!(watch.health.snapshot()[&Kind::Node].error.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_watches_end_with_their_listener() {
    let server = Server::new(vec![Answer::Stream(vec![bookmark("5", true)], Close::Never)]);
    let mut watch = nodes(&server);
    expect(&mut watch, &[Event::Restart(Kind::Node), Event::Synced(Kind::Node)]).await;
    let mut health = watch.health.clone();
    drop(watch);
    let end = async { while health.changed().await {} };
    let wait = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(wait, end).await.is_ok(), "no task is left that could report");
}

#[tokio::test(start_paused = true)]
async fn only_the_pods_of_the_node_and_the_one_service_are_asked_for() {
    let server = Server::new(vec![]);
    let _watch = watch(
        &server.client(),
        &WatchOptions {
            kinds: vec![Kind::Pod, Kind::Service],
            node_name: Some("worker-1".into()),
            service: Some(ObjectName::new("kube-system", "kube-dns")),
        },
    );
    while server.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    let asked = server.asked().join("\n");
    assert!(asked.contains("fieldSelector=spec.nodeName%3Dworker-1"), "{asked}");
    assert!(asked.contains("/namespaces/kube-system/services?"), "{asked}");
    assert!(asked.contains("fieldSelector=metadata.name%3Dkube-dns"), "{asked}");
}
