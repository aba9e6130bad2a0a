//! A probe's answer, for roles that serve nothing else.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with 200 until dropped.
pub async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot answer probes on {address}"))?;
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let mut request = [0; 1024];
        // one probe at a time; a probe that goes away loses only its own answer
        let _ = stream.read(&mut request).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
            .await;
    }
}
