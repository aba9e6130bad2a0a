//! Objects from a stream of watch events, a line of JSON each, in place of an API server: for nodes
//! without a cluster. The end of the stream is an API server that went away.

use fairlead_model::{EndpointSlice, Event, Kind, Node, Object, ObjectName, Pod, Service};
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;
use tracing::warn;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "kind")]
    of: Option<String>,
    object: Option<Value>,
}

/// Reads events until the stream ends. The receiver stays open after it: nothing is known to be gone.
pub fn read(stream: impl AsyncRead + Send + Unpin + 'static) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(256);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match parse(&line) {
                Ok(event) => {
                    if sender.send(event).await.is_err() {
                        return;
                    }
                }
                Err(e) => warn!("a line of objects was skipped: {e}"),
            }
        }
        sender.closed().await;
    });
    receiver
}

fn parse(line: &str) -> Result<Event, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    match line.kind.as_str() {
        "RESTART" => Ok(Event::Restart(kind(line.of.as_deref())?)),
        "SYNCED" => Ok(Event::Synced(kind(line.of.as_deref())?)),
        "ADDED" | "MODIFIED" => Ok(Event::Apply(object(line.object)?)),
        "DELETED" => {
            let object = object(line.object)?;
            Ok(Event::Delete(object.kind(), object.name()))
        }
        other => Err(format!("unknown type '{other}'")),
    }
}

fn kind(name: Option<&str>) -> Result<Kind, String> {
    match name {
        Some("Service") => Ok(Kind::Service),
        Some("EndpointSlice") => Ok(Kind::EndpointSlice),
        Some("Node") => Ok(Kind::Node),
        Some("Pod") => Ok(Kind::Pod),
        Some("Namespace") => Ok(Kind::Namespace),
        Some(other) => Err(format!("unknown kind '{other}'")),
        None => Err("no kind".to_owned()),
    }
}

fn object(value: Option<Value>) -> Result<Object, String> {
    let value = value.ok_or("no object")?;
    let named = value.get("kind").and_then(Value::as_str).map(ToOwned::to_owned);
    match kind(named.as_deref())? {
        Kind::Service => Ok(Object::Service(Service::from(&typed::<core::Service>(value)?))),
        Kind::EndpointSlice => Ok(Object::EndpointSlice(EndpointSlice::from(&typed::<
            discovery::EndpointSlice,
        >(value)?))),
        Kind::Node => Ok(Object::Node(Node::from(&typed::<core::Node>(value)?))),
        Kind::Pod => Ok(Object::Pod(Pod::from(&typed::<core::Pod>(value)?))),
        Kind::Namespace => {
            let namespace: core::Namespace = typed(value)?;
            let name = ObjectName::new("", namespace.metadata.name.unwrap_or_default());
            Ok(Object::Namespace(name.name))
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_watch_events() {
        assert_eq!(parse(r#"{"type":"RESTART","kind":"Node"}"#), Ok(Event::Restart(Kind::Node)));
        let line = r#"{"type":"DELETED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"b"}}}"#;
        assert_eq!(parse(line), Ok(Event::Delete(Kind::Pod, ObjectName::new("a", "b"))));
        assert!(parse("nonsense").is_err());
        assert!(parse(r#"{"type":"ADDED","object":{"kind":"Secret"}}"#).is_err());
    }
}
