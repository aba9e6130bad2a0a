//! The socket on the node that `fairlead status` and `fairlead observe` talk to: a line of JSON asks,
//! lines of JSON answer.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fairlead_observe::events::{Events, Next};
use fairlead_observe::flow::{Filter, Flow};
use fairlead_observe::status::Status;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::Error;
use crate::node::Message;

const REQUEST_LIMIT: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Answered by one line: a [`Status`].
    Status,
    /// Answered by a line a flow: an [`Observed`].
    Observe {
        /// Which flows.
        filter: Filter,
        /// Whether to go on after the recent past.
        follow: bool,
    },
}

/// A line of the answer to [`Question::Observe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observed {
    /// A flow.
    Flow(Box<Flow>),
    /// So many flows were too fast for the reader.
    Lost(u64),
}

/// Serves until the process ends.
pub async fn serve(
    path: &Path,
    inbox: mpsc::Sender<Message>,
    events: Arc<Events>,
) -> Result<(), Error> {
    crate::store::remove(path).map_err(Error::file(path))?;
    let listener = UnixListener::bind(path).map_err(Error::file(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::file(path))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (inbox, events) = (inbox.clone(), events.clone());
                    tokio::spawn(async move {
                        if let Err(e) = answer(stream, inbox, events).await {
                            debug!("a local client went: {e}");
                        }
                    });
                }
                Err(e) => {
                    warn!("cannot accept on the agent's socket: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(())
}

async fn answer(
    stream: UnixStream,
    inbox: mpsc::Sender<Message>,
    events: Arc<Events>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_LIMIT));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    match serde_json::from_str(&line)? {
        Question::Status => {
            let (reply, status) = oneshot::channel();
            if inbox.send(Message::Status { reply }).await.is_ok()
                && let Ok(status) = status.await
            {
                write_line(&mut write, &*status).await?;
            }
        }
        Question::Observe { filter, follow } => {
            let mut rest = String::new();
            tokio::select! {
                observed = observe(&mut write, &events, &filter, follow) => observed?,
                // a reader that went is not noticed by writing where nothing matches
                _ = read.read_line(&mut rest) => {}
            }
        }
    }
    Ok(())
}

async fn observe(
    write: &mut (impl AsyncWriteExt + Unpin),
    events: &Events,
    filter: &Filter,
    follow: bool,
) -> std::io::Result<()> {
    let (recent, mut follower) = events.follow();
    for flow in recent.iter().filter(|f| filter.admits(f)) {
        write_line(write, &Observed::Flow(Box::new(Flow::clone(flow)))).await?;
    }
    if !follow {
        return Ok(());
    }
    loop {
        match follower.next().await {
            Some(Next::Flow(flow)) if filter.admits(&flow) => {
                write_line(write, &Observed::Flow(Box::new(Flow::clone(&flow)))).await?;
            }
            Some(Next::Flow(_)) => {}
            Some(Next::Lost(count)) => write_line(write, &Observed::Lost(count)).await?,
            None => return Ok(()),
        }
    }
}

async fn write_line<T: Serialize>(
    write: &mut (impl AsyncWriteExt + Unpin),
    value: &T,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Asks the agent of this node. Lines of the answer come as they are.
pub async fn ask(
    socket: &Path,
    question: &Question,
) -> std::io::Result<tokio::io::Lines<BufReader<UnixStream>>> {
    let mut stream = UnixStream::connect(socket).await?;
    write_line(&mut stream, question).await?;
    Ok(BufReader::new(stream).lines())
}

/// Asks for the agent's status.
pub async fn ask_status(socket: &Path) -> std::io::Result<Status> {
    let mut lines = ask(socket, &Question::Status).await?;
    let line = lines.next_line().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
