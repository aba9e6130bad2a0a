//! The server by real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it says")]

mod common;

use std::time::Duration;

use common::net::*;
use common::{crowd, example};
use domain::base::iana::Rcode;
use fairlead_dns::core::{Resolvers, Rtype};
use fairlead_dns::server::{Counts, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const WEB: &str = "web.default.svc.cluster.local";

#[tokio::test]
async fn a_name_is_answered_by_udp_and_tcp() {
    let (server, address) = serve(example(), Resolvers::default(), Limits::default());
    let answer = udp(address, &question(7, WEB, Rtype::A, false)).await;
    assert_eq!(addresses(&answer), ["10.96.0.1"]);
    let mut stream = TcpStream::connect(address).await.unwrap();
    put(&mut stream, &question(8, WEB, Rtype::A, false)).await;
    assert_eq!(addresses(&get(&mut stream).await), ["10.96.0.1"]);
    let counts = server.counts();
    assert_eq!(Counts::of(&counts.questions, "A"), 2);
    assert_eq!(Counts::of(&counts.answers, "NOERROR"), 2);
}

#[tokio::test]
async fn a_stream_takes_many_questions_at_once_in_any_pieces() {
    let (_server, address) = serve(crowd(200), Resolvers::default(), Limits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut bytes = Vec::new();
    for id in 0..100 {
        let question = question(id, "crowd.default.svc.cluster.local", Rtype::A, false);
        bytes.extend((question.len() as u16).to_be_bytes());
        bytes.extend(question);
    }
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for piece in bytes.chunks(7) {
            writer.write_all(piece).await.unwrap();
        }
    };
    let read = async {
        for id in 0..100 {
            let mut answer = vec![0; usize::from(reader.read_u16().await.unwrap())];
            reader.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[..2], u16::to_be_bytes(id));
            assert!(answer.len() > 200 * 16);
        }
    };
    timeout(DEADLINE, async { tokio::join!(write, read) }).await.expect("all answers");
}

#[tokio::test]
async fn an_idle_stream_is_closed_and_one_too_many_is_refused() {
    let idle = Duration::from_millis(50);
    let limits = Limits { connections: 1, idle, ..Limits::default() };
    let (server, address) = serve(example(), Resolvers::default(), limits);
    let mut first = TcpStream::connect(address).await.unwrap();
    put(&mut first, &question(1, WEB, Rtype::A, false)).await;
    get(&mut first).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    let end = timeout(DEADLINE, second.read(&mut [0; 1])).await.expect("closed");
    assert!(matches!(end, Ok(0) | Err(_)));
    assert_eq!(server.counts().refused_connections, 1);
    // Half a message does not hold the connection either.
    first.write_all(&[0]).await.unwrap();
    let end = timeout(DEADLINE, first.read(&mut [0; 1])).await.expect("closed");
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn an_answer_is_never_answered_and_garbage_is_counted() {
    let (server, address) = serve(example(), Resolvers::default(), Limits::default());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut loops = question(7, WEB, Rtype::A, false);
    loops[2] |= 0x80;
    socket.send_to(&loops, address).await.unwrap();
    socket.send_to(b"short", address).await.unwrap();
    socket.send_to(&[0; 12], address).await.unwrap();
    let mut buffer = [0; 512];
    let length = timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("FORMERR").unwrap();
    assert_eq!((length, buffer[3] & 15), (12, 1), "only the last of the three is answered");
    let counts = server.counts();
    assert_eq!((counts.ignored, counts.malformed), (2, 1));
}

#[tokio::test]
async fn addresses_come_and_go_also_before_the_node_has_them() {
    let (mut server, address) = serve(example(), Resolvers::default(), Limits::default());
    // TEST-NET-1 and a documentation prefix: no node has them.
    let foreign = ["192.0.2.1:5353".parse().unwrap(), "[2001:db8::53]:5353".parse().unwrap()];
    let other = format!("127.0.0.9:{}", address.port()).parse().unwrap();
    server.set_addresses(&[foreign[0], foreign[1], other]).unwrap();
    assert_eq!(server.local_addresses().len(), 3);
    let answer = udp(other, &question(7, WEB, Rtype::A, false)).await;
    assert_eq!(addresses(&answer), ["10.96.0.1"]);
    eventually("the first address is free", || std::net::TcpStream::connect(address).is_err())
        .await;
}

#[tokio::test]
async fn an_address_in_use_is_told_and_the_others_are_served() {
    let holder = std::net::TcpListener::bind("127.0.0.7:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let (mut server, address) = serve(example(), Resolvers::default(), Limits::default());
    let other = format!("127.0.0.8:{}", address.port()).parse().unwrap();
    let error = server.set_addresses(&[taken, other]).unwrap_err().to_string();
    assert!(error.contains(&taken.to_string()) && error.contains("stop the other"), "{error}");
    let answer = udp(other, &question(7, WEB, Rtype::A, false)).await;
    assert_eq!(answer.header().rcode(), Rcode::NOERROR);
    drop(holder);
    server.set_addresses(&[taken, other]).expect("another call tries again");
}

/// What `dig +short` or more prints; none, loudly, where it is not installed.
fn dig(server: std::net::SocketAddr, arguments: &[&str]) -> Option<String> {
    let run = std::process::Command::new("dig")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+tries=1", "+time=5"])
        .args(arguments)
        .output();
    match run {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) if std::env::var_os("CI").is_some() => panic!("dig is needed in CI: {error}"),
        Err(error) => {
            eprintln!("SKIPPED: dig does not run ({error}): install dnsutils");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_understands_the_answers() {
    let (_server, address) = serve(example(), Resolvers::default(), Limits::default());
    let ask = |arguments: &'static [&'static str]| {
        tokio::task::spawn_blocking(move || dig(address, arguments))
    };
    let Some(short) = ask(&["+short", WEB, "A"]).await.unwrap() else { return };
    assert_eq!(short, "10.96.0.1\n");
    for (arguments, wanted) in [
        (&["+short", "-x", "10.96.0.1"][..], "web.default.svc.cluster.local.\n"),
        (&["+short", "-x", "fd00:96::1"], "web.default.svc.cluster.local.\n"),
        (&["+short", "+tcp", WEB, "AAAA"], "fd00:96::1\n"),
        (&["+short", "dns-version.cluster.local", "TXT"], "\"1.1.0\"\n"),
        (
            &["+short", "_http._tcp.web.default.svc.cluster.local", "SRV"],
            "0 100 80 web.default.svc.cluster.local.\n",
        ),
    ] {
        assert_eq!(ask(arguments).await.unwrap().unwrap(), wanted, "{arguments:?}");
    }
    for (arguments, wanted) in [
        (&["nope.default.svc.cluster.local"][..], "status: NXDOMAIN"),
        (&["nope.default.svc.cluster.local"], "cluster.local.\t\t5\tIN\tSOA"),
        (&["default.svc.cluster.local"], "status: NOERROR"),
        (&["version.bind", "TXT", "CH"], "status: REFUSED"),
        (&["+opcode=notify", WEB], "status: NOTIMP"),
        (&["+edns=1", "+noednsneg", WEB], "status: BADVERS"),
        (&["+bufsize=4096", WEB], "udp: 1232"),
        (&["example.com"], "EDE: 23 (Network Error)"),
        (&[WEB, "ANY", "+notcp"], "HINFO\t\"RFC8482\" \"\""),
        (&["WEB.default.svc.cluster.LOCAL"], "WEB.default.svc.cluster.LOCAL. 5 IN\tA\t10.96.0.1"),
    ] {
        let output = ask(arguments).await.unwrap().unwrap();
        assert!(output.contains(wanted), "{arguments:?}: {output}");
        assert!(!output.contains("WARNING: Mess"), "malformed: {output}");
    }
}
