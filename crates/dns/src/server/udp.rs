//! Questions in datagrams.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::counters::count;
use super::{Shared, forward};
use crate::core::{Query, Reply, Transport};

/// A datagram can't be larger.
const BUFFER: usize = 65_535;

pub(super) async fn serve(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => match shared.respond(&buffer[..length], Transport::Udp) {
                Reply::Ignore => {}
                Reply::Send { bytes, .. } => send(&socket, &shared, &bytes, client).await,
                Reply::Forward(query) => relay(&socket, &shared, *query, client).await,
            },
            Err(error) => {
                count(&shared.counters.socket_errors);
                tracing::debug!(%error, "DNS datagram not received");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn relay(socket: &Arc<UdpSocket>, shared: &Arc<Shared>, query: Query, client: SocketAddr) {
    match shared.forwards.clone().try_acquire_owned() {
        Ok(permit) => {
            let (socket, shared) = (socket.clone(), shared.clone());
            tokio::spawn(async move {
                let bytes = forward::ask(&shared, &query).await;
                send(&socket, &shared, &bytes, client).await;
                drop(permit);
            });
        }
        Err(_) => send(socket, shared, &forward::overflow(shared, &query), client).await,
    }
}

async fn send(socket: &UdpSocket, shared: &Shared, bytes: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, client).await {
        count(&shared.counters.socket_errors);
        tracing::debug!(%client, %error, "DNS answer not sent");
    }
}
