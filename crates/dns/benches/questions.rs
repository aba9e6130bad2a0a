//! What an answer costs: in memory, through the codec alone, and over loopback.
//! `cargo bench -p fairlead-dns`; bounded to a few seconds.

use std::net::UdpSocket;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use domain::base::Name;
use domain::base::message_builder::MessageBuilder;
use fairlead_dns::core::{Config, Reply, Resolvers, Rtype, Transport, Zone, respond};
use fairlead_dns::server::{Limits, Server};
use fairlead_model::{
    Endpoint, EndpointPort, EndpointSlice, Event, Kind, Object, ObjectName, Protocol, Service,
    ServicePort, ServiceType,
};

const SERVICES: u32 = 10_000;
const NAMESPACES: u32 = 100;
const ENDPOINTS: u32 = 3;
const TIME: Duration = Duration::from_secs(2);
/// Questions that a client has under way.
const WINDOW: usize = 32;

fn name(i: u32) -> ObjectName {
    ObjectName::new(format!("namespace-{}", i % NAMESPACES), format!("service-{i}"))
}

fn service(i: u32) -> Service {
    Service {
        name: name(i),
        service_type: ServiceType::ClusterIp,
        cluster_ips: vec![std::net::Ipv4Addr::from(0x0a60_0000 + i).into()],
        headless: false,
        ports: vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80 }],
        publish_not_ready_addresses: false,
    }
}

fn slice(i: u32) -> EndpointSlice {
    let ObjectName { namespace, name } = name(i);
    let endpoint = |n: u32| Endpoint {
        addresses: vec![std::net::Ipv4Addr::from(0x0af0_0000 + i * ENDPOINTS + n).into()],
        ready: true,
        serving: true,
        terminating: false,
        hostname: None,
        node_name: None,
        pod: None,
    };
    EndpointSlice {
        name: ObjectName::new(namespace, format!("{name}-abcde")),
        service: name,
        ports: vec![EndpointPort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
    }
}

fn question(i: u32) -> Vec<u8> {
    let ObjectName { namespace, name } = name(i);
    let name = format!("{name}.{namespace}.svc.cluster.local");
    let mut question = MessageBuilder::new_vec().question();
    let name: Name<Vec<u8>> = Name::vec_from_str(&name).expect("a name");
    question.push((name, Rtype::A)).expect("room");
    question.finish()
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// CPU time in seconds of all threads whose names begin so; of all if empty.
fn cpu(prefix: &str) -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let stats = tasks.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (head, tail) = stat.rsplit_once(')')?;
            head.split_once('(')?.1.starts_with(prefix).then_some(())?;
            let fields: Vec<&str> = tail.split_whitespace().collect();
            Some(fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?)
        })
        .sum::<f64>()
        / 100.0
}

fn main() {
    let before = resident();
    let mut zone = Zone::new(&Config::default()).expect("the default domain");
    for i in 0..SERVICES {
        zone.apply(&Event::Apply(Object::Service(service(i))));
        zone.apply(&Event::Apply(Object::EndpointSlice(slice(i))));
    }
    for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice] {
        zone.apply(&Event::Synced(kind));
    }
    let held = resident().saturating_sub(before);
    println!("memory: {held} KiB for {SERVICES} Services of {ENDPOINTS} endpoints");

    let questions: Vec<Vec<u8>> = (0..1000).map(|i| question(i * 7)).collect();
    core(&zone, &questions);
    loopback(zone, &questions);
}

fn core(zone: &Zone, questions: &[Vec<u8>]) {
    let (start, mut count) = (Instant::now(), 0u64);
    while start.elapsed() < TIME {
        for question in questions {
            let reply = respond(zone, question, Transport::Udp);
            assert!(matches!(reply, Reply::Send { ref bytes, .. } if bytes[7] == 1));
            count += 1;
        }
    }
    let each = start.elapsed().as_nanos() as f64 / count as f64;
    println!("core: {each:.0} ns an answer");
}

fn loopback(zone: Zone, questions: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("server")
        .enable_all()
        .build()
        .expect("a runtime");
    let guard = runtime.enter();
    let any = "127.0.0.1:0".parse().expect("an address");
    let zone = Arc::new(RwLock::new(zone));
    let server = Server::bind(&[any], zone, Resolvers::default(), Limits::default())
        .expect("a port that is free for both protocols");
    let address = server.local_addresses()[0];
    drop(guard);

    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("a route");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    let mut buffer = [0; 1500];
    let (start, busy, mut count) = (Instant::now(), cpu("server"), 0u64);
    let mut next = questions.iter().cycle();
    let mut send = || socket.send(next.next().expect("a cycle has no end")).expect("sent");
    (0..WINDOW).for_each(|_| {
        send();
    });
    while start.elapsed() < TIME {
        socket.recv(&mut buffer).expect("an answer");
        count += 1;
        send();
    }
    let busy = cpu("server") - busy;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("loopback: {rate:.0} answers a second from one client");
    println!(
        "loopback: {:.0} answers a second of the server's CPU ({:.1} us each)",
        count as f64 / busy,
        busy * 1e6 / count as f64
    );
}
