use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::thread;

use serde_json::{Value, json};

use crate::arguments::{Arguments, rounds};
use crate::echo::{WHO, introduced};
use crate::tcp::pattern;

const LARGEST: usize = 65536;

fn socket(arguments: &Arguments) -> io::Result<UdpSocket> {
    let target = arguments.target().map_err(io::Error::other)?;
    let socket = UdpSocket::bind(arguments.local(target.ip()))?;
    socket.set_read_timeout(Some(arguments.timeout))?;
    Ok(socket)
}

/// Each size is tried three times; a size that needed more than one try is counted.
pub fn sizes(arguments: &Arguments) -> Result<Value, String> {
    let sizes: Vec<usize> = arguments.words_from(1)?;
    let (mut ok, mut retried, mut failed) = (0, 0, BTreeMap::new());
    for size in sizes {
        let mut outcome = echo_once(arguments, size);
        for _ in 0..2 {
            if outcome.is_err() {
                retried += 1;
                outcome = echo_once(arguments, size);
            }
        }
        match outcome {
            Ok(()) => ok += 1,
            Err(error) => drop(failed.insert(size.to_string(), error.to_string())),
        }
    }
    Ok(json!({"ok": ok, "retried": retried, "failed": failed}))
}

/// A new socket each time: a late answer of another try is not taken for this one's.
fn echo_once(arguments: &Arguments, size: usize) -> io::Result<()> {
    let socket = socket(arguments)?;
    socket.connect(arguments.target().map_err(io::Error::other)?)?;
    let sent: Vec<u8> = (size..2 * size).map(pattern).collect();
    socket.send(&sent)?;
    let mut buffer = vec![0; LARGEST];
    let count = socket.recv(&mut buffer)?;
    match buffer[..count] == sent {
        true => Ok(()),
        false => Err(io::Error::other(format!("{count} bytes came back, or others"))),
    }
}

#[derive(Default)]
struct Counts {
    ok: u64,
    errors: BTreeMap<String, u64>,
    servers: BTreeMap<String, u64>,
    sources: BTreeMap<String, u64>,
    peers: BTreeMap<String, u64>,
}

impl Counts {
    /// `peer` is whom the socket says it heard, or is connected to.
    fn count(&mut self, outcome: io::Result<(String, String)>) {
        match outcome {
            Ok((line, peer)) => {
                let (server, source) = introduced(&line);
                self.ok += 1;
                *self.servers.entry(server).or_default() += 1;
                *self.sources.entry(source).or_default() += 1;
                *self.peers.entry(peer).or_default() += 1;
            }
            Err(error) => *self.errors.entry(format!("{:?}", error.kind())).or_default() += 1,
        }
    }

    fn json(&self) -> Value {
        json!({
            "ok": self.ok,
            "failed": self.errors.values().sum::<u64>(),
            "errors": self.errors,
            "servers": self.servers,
            "sources": self.sources,
            "peers": self.peers,
        })
    }
}

pub fn connected(arguments: &Arguments) -> Result<Value, String> {
    let mut counts = Counts::default();
    for _ in rounds(arguments.word(1)?) {
        counts.count(ask_connected(arguments));
        thread::sleep(arguments.interval);
    }
    Ok(counts.json())
}

fn ask_connected(arguments: &Arguments) -> io::Result<(String, String)> {
    let socket = socket(arguments)?;
    socket.connect(arguments.target().map_err(io::Error::other)?)?;
    socket.send(WHO)?;
    let mut buffer = [0; 512];
    let count = socket.recv(&mut buffer)?;
    let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
    Ok((line, socket.peer_addr()?.to_string()))
}

pub fn unconnected(arguments: &Arguments) -> Result<Value, String> {
    let socket = socket(arguments).map_err(|e| e.to_string())?;
    let target = arguments.target()?;
    let mut counts = Counts::default();
    for _ in rounds(arguments.word(1)?) {
        let mut buffer = [0; 512];
        let outcome = socket.send_to(WHO, target).and_then(|_| socket.recv_from(&mut buffer));
        counts.count(outcome.map(|(count, from)| {
            (String::from_utf8_lossy(&buffer[..count]).into_owned(), from.to_string())
        }));
        thread::sleep(arguments.interval);
    }
    Ok(counts.json())
}
