//! A flow in one line for people.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Flow, Peer, Verdict};

/// Width that a source is padded to: `pod`, a namespace and a name of usual length, an address.
const SOURCE_WIDTH: usize = 48;

/// Writes flows as lines with times of one zone.
#[derive(Clone, Debug)]
pub struct Lines {
    zone: TimeZone,
}

impl Lines {
    /// Times of the machine's zone.
    pub fn local() -> Self {
        Lines { zone: TimeZone::system() }
    }

    /// Times of UTC.
    pub fn utc() -> Self {
        Lines { zone: TimeZone::UTC }
    }

    /// One line, without a line break:
    /// time, verdict, protocol, source -> destination, backend, reason and where.
    pub fn line(&self, flow: &Flow) -> String {
        let echo = matches!(flow.protocol, 1 | 58);
        let mut line = format!(
            "{} {:<7} {:<6} {:<SOURCE_WIDTH$} -> {}",
            self.time(flow.time),
            verdict(flow.verdict),
            protocol_name(flow.protocol),
            peer(&flow.source, echo),
            peer(&flow.destination, echo),
        );
        // Writing to a String does not fail.
        if let Some(to) = &flow.to {
            let _ = write!(line, " via {}", peer(to, echo));
        }
        if flow.verdict == Verdict::Drop {
            let reason = flow.reason.as_deref().unwrap_or("no reason was given");
            let _ = write!(line, ": {reason} [{}", flow.hook);
            if let Some(interface) = &flow.interface {
                let _ = write!(line, " on {interface}");
            }
            let _ = write!(line, ", {} bytes]", flow.length);
        }
        line
    }

    fn time(&self, nanoseconds: u64) -> String {
        match Timestamp::from_nanosecond(nanoseconds.into()) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%H:%M:%S.%3f").to_string(),
            // After the year 9999.
            Err(_) => "--:--:--.---".to_owned(),
        }
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Drop => "DROP",
        Verdict::New => "NEW",
        Verdict::Connect => "CONNECT",
    }
}

/// The name of an IP protocol, in capitals; its number where it has none here.
pub fn protocol_name(number: u8) -> String {
    match number {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("IP/{other}"),
    }
}

/// Name and address; the port of an echo is its identifier and tells people nothing.
fn peer(peer: &Peer, echo: bool) -> String {
    let address = match peer.port {
        port if port > 0 && !echo => std::net::SocketAddr::new(peer.ip, port).to_string(),
        _ => peer.ip.to_string(),
    };
    match &peer.name {
        Some(name) => format!("{name} ({address})"),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::connect;

    #[test]
    fn a_connect_to_a_service_names_its_backend() {
        assert_eq!(
            Lines::utc().line(&connect()),
            "22:13:20.123 CONNECT TCP    pod default/web-1 (10.244.1.2:43122)             -> \
             service shop/cart:http (10.96.0.7:80) via pod shop/cart-0 (10.244.2.9:8080)"
        );
    }

    #[test]
    fn a_drop_says_why_and_where() {
        let mut flow = connect();
        flow.verdict = Verdict::Drop;
        flow.protocol = 58;
        flow.source = Peer::new("fd00::1".parse().unwrap(), 7);
        flow.destination = Peer::new("2001:db8::1".parse().unwrap(), 7);
        flow.to = None;
        flow.hook = "from_pod".into();
        flow.reason = Some("source address is not the pod's own".into());
        flow.interface = Some("fl0123".into());
        flow.length = 118;
        assert_eq!(
            Lines::utc().line(&flow),
            "22:13:20.123 DROP    ICMPv6 fd00::1                                          -> \
             2001:db8::1: source address is not the pod's own [from_pod on fl0123, 118 bytes]"
        );
    }

    #[test]
    fn an_ipv6_address_with_a_port_is_in_brackets_and_unknown_protocols_are_numbers() {
        let mut flow = connect();
        flow.verdict = Verdict::New;
        flow.protocol = 89;
        flow.source = Peer::new("fd00::1".parse().unwrap(), 7);
        let line = Lines::utc().line(&flow);
        assert!(line.contains("NEW     IP/89  [fd00::1]:7 "), "{line}");
    }

    #[test]
    fn times_are_of_the_zone_asked_for() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert!(Lines { zone }.line(&connect()).starts_with("00:13:20.123 "));
    }
}
