//! ICMP echo by raw sockets (RFC 792, RFC 4443 section 4).

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::arguments::Arguments;

pub fn ping(arguments: &Arguments) -> Result<Value, String> {
    let target: IpAddr = arguments.word(0)?;
    let count: u16 = arguments.word(1)?;
    let size: usize = arguments.word(2).unwrap_or(56);
    let mut socket = open(arguments, target).map_err(|e| format!("raw socket: {e}"))?;
    let id = std::process::id() as u16;
    let (mut ok, mut errors) = (0, Vec::new());
    for sequence in 0..count {
        match once(&mut socket, target, id, sequence, size, arguments) {
            Ok(()) => ok += 1,
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok(json!({"ok": ok, "failed": errors.len(), "errors": errors}))
}

fn open(arguments: &Arguments, target: IpAddr) -> io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    if let Some(bind) = arguments.bind {
        socket.bind(&SocketAddr::new(bind, 0).into())?;
    }
    socket.connect(&SocketAddr::new(target, 0).into())?;
    socket.set_read_timeout(Some(arguments.timeout))?;
    Ok(socket)
}

fn once(
    socket: &mut Socket,
    target: IpAddr,
    id: u16,
    sequence: u16,
    size: usize,
    arguments: &Arguments,
) -> io::Result<()> {
    let request = message(target, id, sequence, size);
    let begin = Instant::now();
    socket.write_all(&request)?;
    let mut buffer = vec![0; 65536];
    while begin.elapsed() < arguments.timeout {
        let count = socket.read(&mut buffer)?;
        if is_answer(&buffer[..count], target, &request) {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn message(target: IpAddr, id: u16, sequence: u16, size: usize) -> Vec<u8> {
    let kind = if target.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend((0..size).map(|i| i as u8));
    if target.is_ipv4() {
        // ICMPv6's checksum is the kernel's work on raw sockets (RFC 3542, section 3.1).
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The answer carries the request's identifier, sequence number and data.
fn is_answer(packet: &[u8], target: IpAddr, request: &[u8]) -> bool {
    // Raw IPv4 sockets give the IP header too, raw IPv6 sockets do not.
    let header =
        if target.is_ipv4() { packet.first().map_or(0, |b| usize::from(b & 15) * 4) } else { 0 };
    let kind = if target.is_ipv4() { 0 } else { 129 };
    packet.get(header..).is_some_and(|icmp| {
        icmp.len() == request.len() && icmp[0] == kind && icmp[4..] == request[4..]
    })
}

fn checksum(bytes: &[u8]) -> u16 {
    let pairs =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
