//! Questions in streams (RFC 7766): many a connection, answered as soon as each can be.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::counters::count;
use super::{Shared, forward};
use crate::core::{Query, Reply, Transport};

/// Answers that wait for a client to read; behind them, questions wait.
const WAITING: usize = 32;

type Answers = mpsc::Sender<Vec<u8>>;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &shared),
            Err(error) => {
                count(&shared.counters.socket_errors);
                tracing::debug!(%error, "DNS connection not accepted");
                // Out of descriptors: one that is closed makes room.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

fn admit(stream: TcpStream, shared: &Arc<Shared>) {
    let Ok(permit) = shared.connections.clone().try_acquire_owned() else {
        return count(&shared.counters.refused_connections);
    };
    let shared = shared.clone();
    tokio::spawn(async move {
        // Answers are small and each is awaited.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (answers, waiting) = mpsc::channel(WAITING);
        // A client that stops asking still gets what it has asked for.
        let _ = tokio::join!(read(reader, &shared, answers), write(writer, &shared, waiting));
        drop(permit);
    });
}

async fn read(reader: OwnedReadHalf, shared: &Arc<Shared>, answers: Answers) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut message = Vec::new();
    loop {
        // The time is for a whole message: a byte now and then does not hold a connection.
        timeout(shared.idle, next(&mut reader, &mut message)).await??;
        let answer = match shared.respond(&message, Transport::Tcp) {
            Reply::Ignore => continue,
            Reply::Send { bytes, .. } => bytes,
            Reply::Forward(query) => match relay(shared, *query, &answers) {
                None => continue,
                Some(bytes) => bytes,
            },
        };
        if answers.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

async fn next(reader: &mut BufReader<OwnedReadHalf>, message: &mut Vec<u8>) -> io::Result<()> {
    let length = reader.read_u16().await?;
    message.resize(usize::from(length), 0);
    reader.read_exact(message).await?;
    Ok(())
}

/// Returns the answer if the question can't be handed on.
fn relay(shared: &Arc<Shared>, query: Query, answers: &Answers) -> Option<Vec<u8>> {
    let Ok(permit) = shared.forwards.clone().try_acquire_owned() else {
        return Some(forward::overflow(shared, &query));
    };
    let (shared, answers) = (shared.clone(), answers.clone());
    tokio::spawn(async move {
        let bytes = forward::ask(&shared, &query).await;
        drop(permit);
        // The client may have gone meanwhile.
        let _ = answers.send(bytes).await;
    });
    None
}

async fn write(
    mut writer: OwnedWriteHalf,
    shared: &Shared,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(answer) = waiting.recv().await {
        let length = u16::try_from(answer.len()).expect("an answer is cut at its limit");
        let mut framed = Vec::with_capacity(answer.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&answer);
        timeout(shared.idle, writer.write_all(&framed)).await??;
    }
    Ok(())
}
