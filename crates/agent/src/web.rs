//! /metrics, /healthz and /readyz.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::debug;

use crate::Error;
use crate::node::Message;

/// Serves until the process ends.
pub async fn serve(
    address: SocketAddr,
    inbox: mpsc::Sender<Message>,
    ready: watch::Receiver<bool>,
) -> Result<(), Error> {
    let listener =
        TcpListener::bind(address).await.map_err(|source| Error::Metrics { address, source })?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (inbox, ready) = (inbox.clone(), ready.clone());
            tokio::spawn(async move {
                let service =
                    service_fn(move |request| answer(request, inbox.clone(), *ready.borrow()));
                let http = hyper::server::conn::http1::Builder::new();
                if let Err(e) = http.serve_connection(TokioIo::new(stream), service).await {
                    debug!("a web client went: {e}");
                }
            });
        }
    });
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    inbox: mpsc::Sender<Message>,
    ready: bool,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, text) = match request.uri().path() {
        // an agent whose task hangs answers neither
        "/metrics" => match metrics(&inbox).await {
            Some(text) => (StatusCode::OK, fairlead_observe::metrics::CONTENT_TYPE, text),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "the agent is ending"),
        },
        "/healthz" => match metrics(&inbox).await {
            Some(_) => plain(StatusCode::OK, "ok"),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "the agent is ending"),
        },
        "/readyz" if ready => plain(StatusCode::OK, "ok"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: fairlead status says why"),
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz"),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    Ok(response)
}

fn plain(status: StatusCode, text: &str) -> (StatusCode, &'static str, String) {
    (status, "text/plain; charset=utf-8", format!("{text}\n"))
}

async fn metrics(inbox: &mpsc::Sender<Message>) -> Option<String> {
    let (reply, text) = oneshot::channel();
    inbox.send(Message::Metrics { reply }).await.ok()?;
    text.await.ok()
}
