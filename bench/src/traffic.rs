//! The generators: one thread and blocking calls on each side, so that the path is what costs.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::Pattern;

/// Bytes of a write of a stream.
const BLOCK: usize = 128 * 1024;

/// What the first byte of a connection asks for.
const SINK: u8 = b's';
const ECHO: u8 = b'r';
const ONCE: u8 = b'c';

/// Serves TCP and UDP on `port` until standard input ends.
pub fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    thread::spawn(move || listener.incoming().flatten().for_each(|s| drop(converse(s))));
    thread::spawn(move || answer(&socket));
    println!("ready");
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    match kind[0] {
        SINK => sink(stream),
        ECHO => echo(stream),
        // The server closes first: it keeps the TIME_WAIT, and the client its ports.
        _ => stream.write_all(&kind),
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let (mut buffer, mut total) = (vec![0; BLOCK], 0_u64);
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(&total.to_be_bytes()),
            count => total += count as u64,
        }
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

fn answer(socket: &UdpSocket) {
    let mut buffer = [0; 64];
    loop {
        if let Ok((count, source)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..count], source);
        }
    }
}

/// Runs `pattern` for so long and prints Mbit/s or rounds a second.
pub fn client(pattern: Pattern, target: SocketAddr, seconds: f64) -> io::Result<()> {
    let time = Duration::from_secs_f64(seconds);
    let figure = match pattern {
        Pattern::Stream => stream(target, time)?,
        Pattern::Rr => request_response(target, time)?,
        Pattern::Connect => connects(target, time)?,
        Pattern::Udp => datagrams(target, time)?,
    };
    println!("{figure}");
    Ok(())
}

fn stream(target: SocketAddr, time: Duration) -> io::Result<f64> {
    let mut stream = open(target, SINK)?;
    let block = vec![0; BLOCK];
    let begin = Instant::now();
    while begin.elapsed() < time {
        stream.write_all(&block)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut total = [0; 8];
    stream.read_exact(&mut total)?;
    Ok(u64::from_be_bytes(total) as f64 * 8e-6 / begin.elapsed().as_secs_f64())
}

fn request_response(target: SocketAddr, time: Duration) -> io::Result<f64> {
    let mut stream = open(target, ECHO)?;
    rate(time, || {
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])
    })
}

fn connects(target: SocketAddr, time: Duration) -> io::Result<f64> {
    rate(time, || {
        let mut stream = open(target, ONCE)?;
        // The answer, then the server's end.
        let (mut answer, mut total) = ([0; 2], 0);
        loop {
            match stream.read(&mut answer)? {
                0 if total == 1 => return Ok(()),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => total += count,
            }
        }
    })
}

fn datagrams(target: SocketAddr, time: Duration) -> io::Result<f64> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    rate(time, || {
        socket.send(b"x")?;
        socket.recv(&mut [0]).map(drop)
    })
}

fn open(target: SocketAddr, kind: u8) -> io::Result<TcpStream> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&target, limit)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

/// How often a second `step` succeeds; the first is not counted (neighbours are resolved in it).
fn rate(time: Duration, mut step: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    step()?;
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < time {
        step()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
