//! A watch as it comes over the wire: JSON objects, one a line.
//!
//! `kube::Client::request_events` gives an error answer (403, 410, 422) as the first event of a
//! watch that seems to have begun; here it is the error of the request.

use std::marker::PhantomData;

use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::api::WatchEvent;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;
use tracing::warn;

/// More than an ordinary object needs; a buffer that had to grow past it is given back.
const ORDINARY: usize = 64 << 10;
/// etcd takes no object above 1.5 MiB; JSON of it may be longer, but not without end.
const LONGEST: usize = 16 << 20;

pub(crate) struct Lines<K> {
    body: Body,
    buffer: Vec<u8>,
    /// How much of the buffer is known to have no line end.
    searched: usize,
    kind: PhantomData<K>,
}

/// Sends the request of a watch; returns once the server has accepted it.
pub(crate) async fn open<K>(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Lines<K>> {
    let response = client.send(request.map(Body::from)).await?;
    let code = response.status().as_u16();
    let body = response.into_body();
    if code < 400 {
        return Ok(Lines { body, buffer: Vec::new(), searched: 0, kind: PhantomData });
    }
    let text = body.collect_bytes().await?;
    Err(kube::Error::Api(status(code, &text).boxed()))
}

/// What the server said, or what its proxy did.
fn status(code: u16, text: &[u8]) -> Status {
    let mut status = serde_json::from_slice::<Status>(text).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&text[..text.len().min(200)]);
        Status::failure(text.trim(), "")
    });
    status.code = code;
    status
}

impl<K: DeserializeOwned> Lines<K> {
    /// The next event; `None` when the server has closed the watch. Safe to drop between events and
    /// while it waits: what has come is in the buffer.
    pub(crate) async fn next(&mut self) -> kube::Result<Option<WatchEvent<K>>> {
        loop {
            if let Some(event) = self.line()? {
                return Ok(Some(event));
            }
            if self.buffer.len() > LONGEST {
                return Err(kube::Error::LinesCodecMaxLineLengthExceeded);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The first event of the buffer, where there is a whole one.
    fn line(&mut self) -> kube::Result<Option<WatchEvent<K>>> {
        while let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') {
            let end = self.searched + at;
            let event = decode(&self.buffer[..end]);
            self.buffer.drain(..=end);
            self.searched = 0;
            if self.buffer.len() < ORDINARY {
                self.buffer.shrink_to(ORDINARY);
            }
            if let Some(event) = event? {
                return Ok(Some(event));
            }
        }
        self.searched = self.buffer.len();
        Ok(None)
    }
}

fn decode<K: DeserializeOwned>(line: &[u8]) -> kube::Result<Option<WatchEvent<K>>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(line) {
        Ok(event) => Ok(Some(event)),
        Err(e) => match serde_json::from_slice::<Status>(line) {
            Ok(status) if status.code >= 400 => Err(kube::Error::Api(status.boxed())),
            // One object that is not understood must not hold up all others of its kind.
            _ => {
                warn!("an object of a watch is left out, since it can't be read: {e}");
                Ok(None)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use proptest::prelude::*;

    /// Events as a server may cut them into chunks: anywhere.
    async fn read(chunks: Vec<Vec<u8>>) -> (Vec<String>, bool) {
        let service = tower::service_fn(move |_: Request<Body>| {
            let frames: Vec<std::io::Result<_>> =
                chunks.iter().map(|c| Ok(Frame::data(Bytes::from(c.clone())))).collect();
            let body = StreamBody::new(futures::stream::iter(frames));
            std::future::ready(Ok::<_, std::io::Error>(http::Response::new(body)))
        });
        let client = Client::new(service, "default");
        let mut lines: Lines<String> = open(&client, Request::new(Vec::new())).await.unwrap();
        let mut seen = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(WatchEvent::Added(text))) => seen.push(text),
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => return (seen, true),
                Err(_) => return (seen, false),
            }
        }
    }

    fn wire(texts: &[String]) -> Vec<u8> {
        texts
            .iter()
            .flat_map(|t| {
                format!("{}\n", serde_json::json!({"type": "ADDED", "object": t})).into_bytes()
            })
            .collect()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn events_arrive_whole_however_the_stream_is_cut(
            texts in proptest::collection::vec(".{0,40}", 0..8),
            cut in 1usize..50,
        ) {
            let chunks = wire(&texts).chunks(cut).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(run(read(chunks)), (texts, true));
        }
    }

    #[test]
    fn an_object_that_cannot_be_read_does_not_hold_up_the_others() {
        let mut bytes = wire(&["a".into()]);
        bytes.extend(b"\n{\"type\": \"ADDED\", \"object\": 5}\ngarbage\n");
        bytes.extend(wire(&["b".into()]));
        assert_eq!(run(read(vec![bytes])), (vec!["a".into(), "b".into()], true));
    }

    #[test]
    fn half_an_event_at_the_end_of_a_watch_is_not_said() {
        let mut bytes = wire(&["a".into(), "b".into()]);
        bytes.truncate(bytes.len() - 3);
        assert_eq!(run(read(vec![bytes])), (vec!["a".into()], true));
    }
}
