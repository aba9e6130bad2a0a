//! One flow or drop: what the datapath says of it, with names.

mod filter;
mod line;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use filter::{Filter, protocol_number};
pub use line::{Lines, protocol_name};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A packet was dropped.
    Drop,
    /// A packet began a flow.
    New,
    /// A socket's connect or message got a backend.
    Connect,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// Its port; the identifier of an ICMP echo; 0 where there is none.
    pub port: u16,
    /// Who that is: `pod default/web-1`, `service default/web:http`, `node n2`. None: outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Peer {
    /// A peer without a name.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Peer { ip, port, name: None }
    }
}

/// An event of the datapath, as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// What happened.
    pub verdict: Verdict,
    /// IP protocol number.
    pub protocol: u8,
    /// Where the packet comes from.
    pub source: Peer,
    /// Where it goes, before translation.
    pub destination: Peer,
    /// The backend, where the destination is a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Peer>,
    /// The hook that saw it: `from_pod`, `to_wire`, `socket`, ...
    pub hook: String,
    /// Why it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The link where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Bytes of the packet; 0 for sockets.
    pub length: u32,
}

/// Knows whose an address is.
pub trait Names {
    /// The name of what has `ip`, and for a Service of what is at its `port` and protocol.
    fn name(&self, ip: IpAddr, port: u16, protocol: u8) -> Option<String>;
}

impl Flow {
    /// Fills in the names that `names` knows. Ends that have a name keep it.
    pub fn resolve(&mut self, names: &impl Names) {
        let protocol = self.protocol;
        for peer in self.peers_mut() {
            if peer.name.is_none() {
                peer.name = names.name(peer.ip, peer.port, protocol);
            }
        }
    }

    /// Source, destination and backend.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        [&self.source, &self.destination].into_iter().chain(&self.to)
    }

    fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        [&mut self.source, &mut self.destination].into_iter().chain(&mut self.to)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A connect of pod default/web-1 to Service shop/cart:http.
    pub fn connect() -> Flow {
        let peer = |ip: [u8; 4], port, name: &str| Peer {
            ip: ip.into(),
            port,
            name: Some(name.to_owned()),
        };
        Flow {
            time: 1_700_000_000_123_456_789,
            verdict: Verdict::Connect,
            protocol: 6,
            source: peer([10, 244, 1, 2], 43122, "pod default/web-1"),
            destination: peer([10, 96, 0, 7], 80, "service shop/cart:http"),
            to: Some(peer([10, 244, 2, 9], 8080, "pod shop/cart-0")),
            hook: "socket".into(),
            reason: None,
            interface: None,
            length: 0,
        }
    }

    struct Pods;

    impl Names for Pods {
        fn name(&self, ip: IpAddr, port: u16, _: u8) -> Option<String> {
            (ip == IpAddr::from([10, 0, 0, 1])).then(|| format!("pod default/p{port}"))
        }
    }

    #[test]
    fn names_are_filled_in_where_there_is_none() {
        let mut flow = connect();
        flow.source = Peer::new([10, 0, 0, 1].into(), 1);
        flow.to = Some(Peer::new([10, 0, 0, 1].into(), 2));
        flow.destination = Peer::new([192, 0, 2, 1].into(), 3);
        flow.resolve(&Pods);
        let names: Vec<Option<&str>> = flow.peers().map(|p| p.name.as_deref()).collect();
        assert_eq!(names, [Some("pod default/p1"), None, Some("pod default/p2")]);
    }

    #[test]
    fn a_flow_keeps_everything_through_json() {
        let mut dropped = connect();
        dropped.verdict = Verdict::Drop;
        dropped.to = None;
        dropped.reason = Some("source address is not the pod's own".into());
        dropped.interface = Some("fl0123".into());
        for flow in [connect(), dropped] {
            let json = serde_json::to_string(&flow).unwrap();
            assert_eq!(serde_json::from_str::<Flow>(&json).unwrap(), flow, "{json}");
        }
    }

    #[test]
    fn what_a_flow_does_not_have_is_not_in_its_json() {
        let mut flow = connect();
        flow.to = None;
        flow.source.name = None;
        let json = serde_json::to_string(&flow).unwrap();
        assert!(json.starts_with(
            r#"{"time":1700000000123456789,"verdict":"connect","protocol":6,"source":{"ip":"10.244.1.2","port":43122},"#
        ), "{json}");
        assert!(!json.contains("null"), "{json}");
    }
}
