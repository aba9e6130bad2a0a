//! Servers. TCP: a line "name source-address", then everything echoed. UDP: `who?` is answered with
//! that line, everything else is echoed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use serde_json::{Value, json};

use crate::arguments::{Arguments, say_ready};

pub const WHO: &[u8] = b"who?";

pub fn serve(arguments: &Arguments, tcp: bool, udp: bool) -> Result<Value, String> {
    let address: SocketAddr = arguments.word(0)?;
    let name: String = arguments.word(1)?;
    let failed = |e: io::Error| format!("listening on {address}: {e}");
    if tcp {
        let (listener, name) = (TcpListener::bind(address).map_err(failed)?, name.clone());
        thread::spawn(move || accept(&listener, &name));
    }
    if udp {
        let (socket, name) = (UdpSocket::bind(address).map_err(failed)?, name.clone());
        thread::spawn(move || answer(&socket, &name));
    }
    say_ready();
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    Ok(json!({"ended": true}))
}

fn accept(listener: &TcpListener, name: &str) {
    for stream in listener.incoming().flatten() {
        let name = name.to_owned();
        thread::spawn(move || converse(stream, &name));
    }
}

fn converse(mut stream: TcpStream, name: &str) -> io::Result<()> {
    let _ = stream.set_nodelay(true);
    let line = introduction(name, stream.peer_addr()?);
    stream.write_all(line.as_bytes())?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

fn answer(socket: &UdpSocket, name: &str) {
    let mut buffer = vec![0; 65536];
    loop {
        // Errors here are of earlier answers (ICMP); the server lives on.
        let Ok((count, source)) = socket.recv_from(&mut buffer) else { continue };
        let sent = match &buffer[..count] {
            WHO => socket.send_to(introduction(name, source).as_bytes(), source),
            data => socket.send_to(data, source),
        };
        if let Err(error) = sent {
            eprintln!("answering {count} bytes to {source}: {error}");
        }
    }
}

fn introduction(name: &str, source: SocketAddr) -> String {
    format!("{name} {}\n", SocketAddr::new(source.ip().to_canonical(), source.port()))
}

/// Name and source address from an introduction.
pub fn introduced(line: &str) -> (String, String) {
    let (name, source) = line.trim_end().split_once(' ').unwrap_or_default();
    let ip = source.parse().map(|s: SocketAddr| s.ip().to_string()).unwrap_or_default();
    (name.into(), ip)
}
