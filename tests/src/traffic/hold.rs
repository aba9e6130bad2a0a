//! One connection that lives as long as it can.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::arguments::{Arguments, say_ready, stdin_ends};
use crate::echo::introduced;
use crate::tcp::connect;

const BLOCK: usize = 4096;

pub fn hold(arguments: &Arguments) -> Result<Value, String> {
    let stream = connect(arguments).map_err(|e| format!("connecting: {e}"))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).map_err(|e| format!("reading the introduction: {e}"))?;
    say_ready();
    let ended = stdin_ends();
    let (mut exchanges, mut longest, mut broke) = (0_u64, Duration::ZERO, None);
    while !ended.load(Ordering::Relaxed) {
        let begin = Instant::now();
        if let Err(error) = exchange(&mut reader, exchanges as u8) {
            broke = Some(error.to_string());
            break;
        }
        longest = longest.max(begin.elapsed());
        exchanges += 1;
        thread::sleep(arguments.interval.max(Duration::from_millis(1)));
    }
    Ok(json!({
        "server": introduced(&line).0,
        "exchanges": exchanges,
        "longest_ms": longest.as_millis() as u64,
        "broke": broke,
    }))
}

fn exchange(reader: &mut BufReader<TcpStream>, byte: u8) -> io::Result<()> {
    let sent = [byte; BLOCK];
    let mut received = [0; BLOCK];
    reader.get_mut().write_all(&sent)?;
    reader.read_exact(&mut received)?;
    if sent == received { Ok(()) } else { Err(io::Error::other("wrong bytes came back")) }
}
