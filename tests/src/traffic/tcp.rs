use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::arguments::{Arguments, rounds};
use crate::echo::introduced;

/// A connection, from `--bind` where given, with the time-out on everything.
pub fn connect(arguments: &Arguments) -> io::Result<TcpStream> {
    let target = arguments.target().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    if let Some(bind) = arguments.bind {
        socket.bind(&SocketAddr::new(bind, 0).into())?;
    }
    socket.connect_timeout(&target.into(), arguments.timeout)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(arguments.timeout))?;
    stream.set_write_timeout(Some(arguments.timeout))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Default)]
struct Counts {
    ok: u64,
    errors: BTreeMap<String, u64>,
    servers: BTreeMap<String, u64>,
    sources: BTreeMap<String, u64>,
    peers: BTreeMap<String, u64>,
    slowest: Duration,
}

pub fn connects(arguments: &Arguments) -> Result<Value, String> {
    let mut counts = Counts::default();
    for round in rounds(arguments.word(1)?) {
        if round > 0 {
            thread::sleep(arguments.interval);
        }
        let begin = Instant::now();
        match exchange(arguments, &mut counts) {
            Ok(()) => counts.ok += 1,
            Err(error) => *counts.errors.entry(format!("{:?}", error.kind())).or_default() += 1,
        }
        counts.slowest = counts.slowest.max(begin.elapsed());
    }
    Ok(json!({
        "ok": counts.ok,
        "failed": counts.errors.values().sum::<u64>(),
        "errors": counts.errors,
        "servers": counts.servers,
        "sources": counts.sources,
        "peers": counts.peers,
        "slowest_ms": counts.slowest.as_millis() as u64,
    }))
}

/// Connects, reads who answers, exchanges a message, closes.
fn exchange(arguments: &Arguments, counts: &mut Counts) -> io::Result<()> {
    let stream = connect(arguments)?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    reader.get_mut().write_all(b"ping")?;
    let mut answer = [0; 4];
    reader.read_exact(&mut answer)?;
    if &answer != b"ping" {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (server, source) = introduced(&line);
    *counts.servers.entry(server).or_default() += 1;
    *counts.sources.entry(source).or_default() += 1;
    *counts.peers.entry(peer.to_string()).or_default() += 1;
    Ok(())
}

/// Sends a pattern and compares what comes back.
pub fn stream(arguments: &Arguments) -> Result<Value, String> {
    let bytes: u64 = arguments.word(1)?;
    let begin = Instant::now();
    let outcome = connect(arguments).and_then(|stream| transfer(stream, bytes));
    let (received, error) = match outcome {
        Ok(received) => (received, None),
        Err(error) => (0, Some(error.to_string())),
    };
    let seconds = begin.elapsed().as_secs_f64();
    Ok(json!({
        "bytes": received,
        "error": error,
        "mbit_s": received as f64 * 8e-6 / seconds,
        "ms": (seconds * 1000.0) as u64,
    }))
}

fn transfer(stream: TcpStream, bytes: u64) -> io::Result<u64> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut String::new())?;
    let sender = thread::spawn(move || {
        let block: Vec<u8> = (0..64 * 1024).map(pattern).collect();
        let mut left = bytes as usize;
        while left > 0 {
            let count = left.min(block.len());
            writer.write_all(&block[..count])?;
            left -= count;
        }
        writer.shutdown(Shutdown::Write)
    });
    let received = compare(&mut reader)?;
    sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
    match received == bytes {
        true => Ok(received),
        false => Err(io::Error::other(format!("{received} of {bytes} bytes came back"))),
    }
}

fn compare(reader: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(received);
        }
        let at = received as usize;
        if buffer[..count].iter().enumerate().any(|(i, byte)| *byte != pattern(at + i)) {
            return Err(io::Error::other(format!("wrong bytes after {received}")));
        }
        received += count as u64;
    }
}

/// Repeats every 64 KiB, as blocks do, but not in shorter steps of powers of two.
pub fn pattern(index: usize) -> u8 {
    ((index % 65536) % 251) as u8
}
