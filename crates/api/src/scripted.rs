//! An API server for tests that answers one request after the other from a script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

/// Answers, and what was asked: method, path, type and body.
#[derive(Clone, Default)]
pub(crate) struct Server {
    script: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn new(script: Vec<(u16, Value)>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into())), ..Self::default() }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let content = head.headers.get(http::header::CONTENT_TYPE).map(|v| v.to_str().unwrap());
        self.asked.lock().unwrap().push(format!(
            "{} {} {} {}",
            head.method,
            head.uri,
            content.unwrap_or_default(),
            String::from_utf8_lossy(&body)
        ));
        let (code, body) = self.script.lock().unwrap().pop_front().expect("an answer");
        Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The body of an answer that is an error.
pub(crate) fn failure(code: u16, message: &str) -> Value {
    let reason = if code == 404 { "NotFound" } else { "" };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
           "message": message, "reason": reason})
}
