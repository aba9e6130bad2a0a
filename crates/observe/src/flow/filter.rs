//! Which flows somebody wants to see.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Flow, Peer, Verdict};

/// A predicate over flows. Each list admits flows of which either end, or the backend, is in it; an
/// empty list admits all; a flow must be admitted by every list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only drops.
    pub drops: bool,
    /// Pods as `namespace/name`.
    pub pods: Vec<String>,
    /// Namespaces of pods and Services.
    pub namespaces: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Ports; what ICMP has in their place does not count.
    pub ports: Vec<u16>,
    /// IP protocol numbers.
    pub protocols: Vec<u8>,
}

impl Filter {
    /// Whether the flow, with its names resolved, is wanted.
    pub fn admits(&self, flow: &Flow) -> bool {
        let any = |wanted: &dyn Fn(&Peer) -> bool| flow.peers().any(wanted);
        (!self.drops || flow.verdict == Verdict::Drop)
            && (self.protocols.is_empty() || self.protocols.contains(&flow.protocol))
            && (self.ips.is_empty() || any(&|p| self.ips.contains(&p.ip)))
            && (self.ports.is_empty()
                || (!matches!(flow.protocol, 1 | 58) && any(&|p| self.ports.contains(&p.port))))
            && (self.pods.is_empty() || any(&|p| pod(p).is_some_and(|n| contains(&self.pods, n))))
            && (self.namespaces.is_empty()
                || any(&|p| namespace(p).is_some_and(|n| contains(&self.namespaces, n))))
    }
}

/// The number of a protocol that a person names, in any case, or gives by number.
pub fn protocol_number(text: &str) -> Option<u8> {
    match text.to_ascii_lowercase().as_str() {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "icmpv6" => Some(58),
        "sctp" => Some(132),
        other => other.parse().ok(),
    }
}

fn contains(list: &[String], item: &str) -> bool {
    list.iter().any(|listed| listed == item)
}

fn pod(peer: &Peer) -> Option<&str> {
    peer.name.as_deref()?.strip_prefix("pod ")
}

fn namespace(peer: &Peer) -> Option<&str> {
    let name = peer.name.as_deref()?;
    let object = name.strip_prefix("pod ").or_else(|| name.strip_prefix("service "))?;
    Some(object.split_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::connect;

    fn admits(filter: Filter) -> bool {
        filter.admits(&connect())
    }

    #[test]
    fn a_filter_that_asks_for_nothing_admits_everything() {
        assert!(admits(Filter::default()));
    }

    #[test]
    fn either_end_or_the_backend_may_be_what_is_asked_for() {
        for pod in ["default/web-1", "shop/cart-0"] {
            assert!(admits(Filter { pods: vec![pod.into()], ..Default::default() }), "{pod}");
        }
        for namespace in ["default", "shop"] {
            let namespaces = vec![namespace.into()];
            assert!(admits(Filter { namespaces, ..Default::default() }), "{namespace}");
        }
        for ip in ["10.244.1.2", "10.96.0.7", "10.244.2.9"] {
            assert!(admits(Filter { ips: vec![ip.parse().unwrap()], ..Default::default() }));
        }
        for port in [43122, 80, 8080] {
            assert!(admits(Filter { ports: vec![1, port], ..Default::default() }), "{port}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_admitted() {
        let none = Filter::default;
        assert!(!admits(Filter { drops: true, ..none() }));
        assert!(!admits(Filter { pods: vec!["default/web".into()], ..none() }));
        assert!(!admits(Filter { pods: vec!["shop/cart:http".into()], ..none() }), "a Service");
        assert!(!admits(Filter { namespaces: vec!["sho".into()], ..none() }));
        assert!(!admits(Filter { ips: vec![[10, 0, 0, 1].into()], ..none() }));
        assert!(!admits(Filter { ports: vec![443], ..none() }));
        assert!(!admits(Filter { protocols: vec![17], ..none() }));
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let filter = Filter { ports: vec![80], protocols: vec![6], ..Default::default() };
        assert!(admits(filter.clone()));
        assert!(!admits(Filter { protocols: vec![17], ..filter }));
    }

    #[test]
    fn the_identifier_of_an_echo_is_no_port() {
        let mut flow = connect();
        flow.protocol = 1;
        assert!(!Filter { ports: vec![80], ..Default::default() }.admits(&flow));
    }

    #[test]
    fn protocols_are_known_by_name_and_number() {
        assert_eq!(protocol_number("TCP"), Some(6));
        assert_eq!(protocol_number("ICMPv6"), Some(58));
        assert_eq!(protocol_number("89"), Some(89));
        assert_eq!(protocol_number("256"), None);
        assert_eq!(protocol_number("http"), None);
    }
}
