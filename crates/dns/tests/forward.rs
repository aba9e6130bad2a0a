//! Names outside of the cluster, by resolvers that behave well and badly.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it says")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::example;
use common::net::*;
use domain::base::iana::Rcode;
use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name};
use domain::rdata::A;
use fairlead_dns::core::{Resolvers, Rtype};
use fairlead_dns::server::{Limits, Server};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// How a resolver behaves over UDP. Over TCP they all answer well.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    Silent,
    Truncates,
    /// Answers with another id, another name, and then well.
    Forges,
    Says(Rcode),
    /// Answers with so many addresses.
    Many(u8),
}

/// An answer with addresses 192.0.2.1 and on.
fn answer(question: &[u8], count: u8, change: impl FnOnce(&mut domain::base::Header)) -> Vec<u8> {
    let question = Message::from_octets(question).unwrap();
    let name: Name<Vec<u8>> =
        domain::base::ToName::to_name(question.sole_question().unwrap().qname());
    let mut builder = MessageBuilder::new_vec().start_answer(&question, Rcode::NOERROR).unwrap();
    for last in 1..=count {
        builder.push((&name, 60, A::from_octets(192, 0, 2, last))).unwrap();
    }
    change(builder.header_mut());
    builder.finish()
}

async fn resolver(manner: Manner) -> SocketAddr {
    let (socket, listener) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
            break (socket, listener);
        }
    };
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            for bytes in datagrams(manner, &buffer[..length]) {
                socket.send_to(&bytes, client).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let question = get(&mut stream).await;
            put(&mut stream, &answer(question.as_slice(), 100, |_| ())).await;
        }
    });
    address
}

fn datagrams(manner: Manner, question: &[u8]) -> Vec<Vec<u8>> {
    let good = answer(question, 1, |_| ());
    match manner {
        Manner::Good => vec![good],
        Manner::Silent => vec![],
        Manner::Truncates => vec![answer(question, 0, |h| h.set_tc(true))],
        Manner::Forges => {
            let id = answer(question, 3, |h| h.set_id(h.id().wrapping_add(1)));
            let mut name = answer(question, 3, |_| ());
            name[13] = b'z';
            let asked = answer(question, 3, |h| h.set_qr(false));
            vec![id, name, asked, b"short".to_vec(), good]
        }
        Manner::Says(rcode) => vec![answer(question, 0, |h| h.set_rcode(rcode))],
        Manner::Many(count) => vec![answer(question, count, |_| ())],
    }
}

async fn behind(manners: &[Manner], limits: Limits) -> (Server, SocketAddr) {
    let mut resolvers = Resolvers { timeout: Duration::from_millis(200), ..Resolvers::default() };
    for manner in manners {
        resolvers.servers.push(resolver(*manner).await);
    }
    serve(example(), resolvers, limits)
}

async fn ask(manners: &[Manner], edns: bool) -> (Message<Vec<u8>>, Server) {
    let (server, address) = behind(manners, Limits::default()).await;
    (udp(address, &question(7, "Example.COM", Rtype::A, edns)).await, server)
}

fn error(message: &Message<Vec<u8>>) -> Option<ExtendedErrorCode> {
    Some(message.opt()?.opt().extended_error()?.code())
}

#[tokio::test]
async fn a_resolvers_answer_comes_back_under_the_clients_id_and_spelling() {
    let (message, server) = ask(&[Manner::Good], false).await;
    assert_eq!(message.header().id(), 7);
    assert_eq!(addresses(&message), ["192.0.2.1"]);
    assert_eq!(&message.as_slice()[13..20], b"Example");
    assert_eq!((server.counts().forwarded, server.counts().forward_failures), (1, 0));
}

#[tokio::test]
async fn forged_and_damaged_answers_are_passed_over() {
    let (message, _) = ask(&[Manner::Forges], false).await;
    assert_eq!(addresses(&message), ["192.0.2.1"]);
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_silent_or_fails() {
    let bad = [Manner::Silent, Manner::Says(Rcode::SERVFAIL), Manner::Says(Rcode::REFUSED)];
    for bad in bad {
        let (message, _) = ask(&[bad, Manner::Good], false).await;
        assert_eq!(addresses(&message), ["192.0.2.1"]);
    }
}

#[tokio::test]
async fn a_denial_is_an_answer() {
    let (message, _) = ask(&[Manner::Says(Rcode::NXDOMAIN), Manner::Good], false).await;
    assert_eq!(message.header().rcode(), Rcode::NXDOMAIN);
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_by_tcp_and_cut_for_the_client() {
    let (server, address) = behind(&[Manner::Truncates], Limits::default()).await;
    let asked = question(7, "example.com", Rtype::A, false);
    let message = udp(address, &asked).await;
    assert!(message.header().tc());
    assert!(message.as_slice().len() <= 512);
    let mut stream = TcpStream::connect(address).await.unwrap();
    put(&mut stream, &asked).await;
    let message = get(&mut stream).await;
    assert!(!message.header().tc());
    assert_eq!(addresses(&message).len(), 100);
    assert_eq!(server.counts().truncated, 1);
}

#[tokio::test]
async fn an_answer_larger_than_the_client_takes_is_cut() {
    let (message, _) = ask(&[Manner::Many(40)], false).await;
    assert!(message.header().tc());
    let (message, _) = ask(&[Manner::Many(40)], true).await;
    assert_eq!(addresses(&message).len(), 40);
}

#[tokio::test]
async fn when_all_fail_the_client_is_told_why() {
    let silent = (&[Manner::Silent][..], ExtendedErrorCode::NETWORK_ERROR);
    let failing = (&[Manner::Says(Rcode::SERVFAIL)][..], ExtendedErrorCode::NO_REACHABLE_AUTHORITY);
    for (manners, code) in [silent, failing, (&[][..], ExtendedErrorCode::NETWORK_ERROR)] {
        let (message, server) = ask(manners, true).await;
        assert_eq!(message.header().rcode(), Rcode::SERVFAIL);
        assert_eq!(error(&message), Some(code));
        assert_eq!(server.counts().forward_failures, 1);
        let (message, _) = ask(manners, false).await;
        assert_eq!(message.header().rcode(), Rcode::SERVFAIL);
        assert!(message.opt().is_none());
    }
}

#[tokio::test]
async fn an_alias_out_of_the_cluster_is_resolved_to_its_end() {
    let (_server, address) = behind(&[Manner::Good], Limits::default()).await;
    let asked = question(7, "EXT.default.svc.cluster.local", Rtype::A, true);
    let message = udp(address, &asked).await;
    assert_eq!(message.header().rcode(), Rcode::NOERROR);
    assert_eq!(message.header_counts().ancount(), 2);
    assert_eq!(addresses(&message), ["192.0.2.1"]);
    let alias = message.canonical_name().unwrap();
    assert_eq!(alias.to_string(), "www.example.com");
}

#[tokio::test]
async fn more_questions_than_may_wait_are_answered_at_once() {
    let limits = Limits { forwards: 1, ..Limits::default() };
    let (server, address) = behind(&[Manner::Silent], limits).await;
    let waiting = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    waiting.send_to(&question(1, "example.com", Rtype::A, false), address).await.unwrap();
    eventually("the first question waits", || server.counts().forwarded == 1).await;
    let message = udp(address, &question(2, "example.com", Rtype::A, true)).await;
    assert_eq!(message.header().rcode(), Rcode::SERVFAIL);
    assert_eq!(error(&message), Some(ExtendedErrorCode::OTHER));
    assert_eq!(server.counts().forward_overflows, 1);
    // Names of the cluster do not wait behind it.
    let web = question(3, "web.default.svc.cluster.local", Rtype::A, false);
    assert_eq!(addresses(&udp(address, &web).await), ["10.96.0.1"]);
}

#[tokio::test]
async fn the_server_never_asks_itself() {
    let (server, address) = serve(example(), Resolvers::default(), Limits::default());
    server.set_resolvers(Resolvers { servers: vec![address], ..Resolvers::default() });
    let message = udp(address, &question(7, "example.com", Rtype::A, false)).await;
    assert_eq!(message.header().rcode(), Rcode::SERVFAIL);
    assert_eq!(server.counts().forwarded, 1, "one question, not a loop of them");
}
