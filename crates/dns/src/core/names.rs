//! Names that are made from objects, and their parts.

use std::net::IpAddr;

use domain::base::{Name, ToName};
use fairlead_model::{Addr, Protocol};

use super::answer::DnsName;
use super::objects::Endpoint;

/// A name as given in configuration or in an object; none if it is not one. In lower case.
pub(super) fn parse(text: &str) -> Option<DnsName> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let plain = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if !text.split('.').all(plain) {
        return None;
    }
    let mut name: DnsName = Name::vec_from_str(text).ok()?;
    name.make_canonical();
    Some(name)
}

/// The name of these labels below a domain; none if it is longer than names can be (RFC 1035, 2.3.4).
pub(super) fn below(labels: &[&str], domain: &DnsName) -> Option<DnsName> {
    let mut octets = Vec::with_capacity(domain.len() + 64);
    for label in labels {
        octets.push(u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?);
        octets.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    octets.extend_from_slice(domain.as_slice());
    Name::from_octets(octets).ok()
}

/// A question's name in lower case and in one piece.
pub(super) fn canonical(name: &(impl ToName + ?Sized)) -> DnsName {
    let mut name: DnsName = name.to_vec();
    name.make_canonical();
    name
}

/// The labels without the root; none if one is not text, which no name of ours has.
pub(super) fn labels(name: &Name<[u8]>) -> Option<Vec<&str>> {
    name.iter().filter(|l| !l.is_root()).map(|l| std::str::from_utf8(l.as_slice()).ok()).collect()
}

/// An endpoint's name below its Service's: its host name, or its address with dashes, as CoreDNS has it.
pub(super) fn endpoint(endpoint: &Endpoint) -> String {
    match &endpoint.hostname {
        Some(hostname) => hostname.to_ascii_lowercase(),
        None => dashed(endpoint.addr),
    }
}

fn dashed(addr: Addr) -> String {
    let mut text = addr.to_string().replace(['.', ':'], "-");
    // A label does not end with a dash (RFC 1123, 2.1).
    if text.ends_with('-') {
        text.push('0');
    }
    text
}

/// The address that an endpoint's dashed name stands for.
pub(super) fn undashed(label: &str) -> Option<Addr> {
    pod_address(label).filter(|addr| dashed(*addr) == label)
}

/// The address in a pod's name; written as CoreDNS takes it.
pub(super) fn pod_address(label: &str) -> Option<Addr> {
    let v4 = label.matches('-').count() == 3 && !label.contains("--");
    let separator = if v4 { "." } else { ":" };
    label.replace('-', separator).parse::<IpAddr>().ok().map(Addr::from)
}

/// The protocol of `_tcp`, `_udp`, `_sctp`.
pub(super) fn protocol(label: &str) -> Option<Protocol> {
    match label {
        "_tcp" => Some(Protocol::Tcp),
        "_udp" => Some(Protocol::Udp),
        "_sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashed_names_come_back_as_their_address() {
        for ip in ["10.0.0.1", "fd00::1", "fd00::", "::1", "1:2:3:4:5:6:7:8"] {
            let addr = Addr::from(ip.parse::<IpAddr>().unwrap());
            assert_eq!(undashed(&dashed(addr)), Some(addr), "{ip}");
        }
        assert_eq!(undashed("10-0-0-01"), None);
        assert_eq!(undashed("fd00-0-0-0-0-0-0-1"), None, "only the usual form is a name");
    }

    #[test]
    fn what_is_no_name_is_not_parsed_as_one() {
        assert!(parse("").is_none());
        assert!(parse("a..b").is_none());
        assert!(parse("a b").is_none());
        assert_eq!(parse("Example.COM.").unwrap().to_string(), "example.com");
    }
}
