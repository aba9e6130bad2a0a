//! A node and its pods for tests: network namespaces without names, so that nothing can stay.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use fairlead_link::{Handle, Netns, PodLinkSpec, host_link_name};

/// A node's namespace and what handles it.
pub struct Node {
    pub netns: Netns,
    pub link: Handle,
}

/// None where the machine cannot make namespaces; in CI that is a failure.
pub fn node() -> Option<Node> {
    let netns = match Netns::unnamed() {
        Ok(netns) => netns,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: needs root: {error}");
            return None;
        }
        Err(error) => panic!("needs root: {error}"),
    };
    let link = Handle::of(netns.as_fd()).unwrap();
    let node = Node { netns, link };
    node.sh("ip link set lo up");
    Some(node)
}

impl Node {
    /// Runs a command inside and returns what it printed.
    pub fn sh(&self, command: &str) -> String {
        sh(&self.netns, command)
    }
}

pub fn sh(netns: &Netns, command: &str) -> String {
    let output = netns.run(|| Command::new("sh").args(["-ec", command]).output()).unwrap().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn spec(id: &str, addresses: &[&str]) -> PodLinkSpec {
    PodLinkSpec {
        host_name: host_link_name(id, "eth0"),
        pod_name: "eth0".into(),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        mtu: 1450,
    }
}

/// Everything that a person would compare, without what changes by itself.
pub fn picture(netns: &Netns) -> String {
    sh(
        netns,
        "ip -d link | sed 's/qdisc.*state/state/'; ip -4 addr; ip -6 addr; \
         ip route show table all; ip -6 route show table all; ip neigh | sort; ip -6 neigh | sort",
    )
}

/// A datagram from one namespace to an address of another and back; whom the far end saw.
pub fn echo(from: &Netns, to: &Netns, address: IpAddr) -> std::io::Result<IpAddr> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let far = to.run(|| UdpSocket::bind((address, 0))).unwrap()?;
    let near = from.run(|| UdpSocket::bind(any)).unwrap()?;
    for socket in [&far, &near] {
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    }
    near.send_to(b"ping", far.local_addr()?)?;
    let mut buffer = [0; 16];
    let (size, peer) = far.recv_from(&mut buffer)?;
    far.send_to(&buffer[..size], peer)?;
    let (size, answered) = near.recv_from(&mut buffer)?;
    assert_eq!((&buffer[..size], answered.ip()), (&b"ping"[..], address));
    Ok(peer.ip())
}

/// Polls until `condition`; panics after five seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 5 s: {what}");
        std::thread::yield_now();
    }
}
