//! A server on loopback and clients of it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name};
use fairlead_dns::core::{Resolvers, Rtype, Zone};
use fairlead_dns::server::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

pub const DEADLINE: Duration = Duration::from_secs(10);

pub fn serve(zone: Zone, resolvers: Resolvers, limits: Limits) -> (Server, SocketAddr) {
    let zone = Arc::new(RwLock::new(zone));
    // The TCP port of the number that UDP was given may be another program's.
    for _ in 0..20 {
        let any = "127.0.0.1:0".parse().unwrap();
        if let Ok(server) = Server::bind(&[any], zone.clone(), resolvers.clone(), limits) {
            let address = server.local_addresses()[0];
            return (server, address);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

pub fn question(id: u16, name: &str, rtype: Rtype, edns: bool) -> Vec<u8> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question.push((Name::vec_from_str(name).unwrap(), rtype)).unwrap();
    let mut additional = question.additional();
    if edns {
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(4096);
                Ok(())
            })
            .unwrap();
    }
    additional.finish()
}

pub async fn udp(server: SocketAddr, bytes: &[u8]) -> Message<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(bytes).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("an answer").unwrap();
    buffer.truncate(length);
    Message::from_octets(buffer).unwrap()
}

pub async fn put(stream: &mut TcpStream, bytes: &[u8]) {
    let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await.unwrap();
}

pub async fn get(stream: &mut TcpStream) -> Message<Vec<u8>> {
    let read = async {
        let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    };
    Message::from_octets(timeout(DEADLINE, read).await.expect("an answer")).unwrap()
}

/// The addresses in an answer, sorted.
pub fn addresses(message: &Message<Vec<u8>>) -> Vec<String> {
    let records = message.answer().unwrap().limit_to::<domain::rdata::A>();
    let mut all: Vec<String> = records.map(|r| r.unwrap().data().addr().to_string()).collect();
    all.sort();
    all
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
