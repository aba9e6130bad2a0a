//! Names of addresses: `in-addr.arpa` (RFC 1035, 3.5) and `ip6.arpa` (RFC 3596, 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The prefix that a reverse name stands for; none if it is no reverse name or stands for nothing.
/// `labels` are in lower case, the first is the name's leftmost.
pub(super) fn prefix(labels: &[&str]) -> Option<IpNet> {
    match labels {
        [octets @ .., "in-addr", "arpa"] => v4(octets),
        [nibbles @ .., "ip6", "arpa"] => v6(nibbles),
        _ => None,
    }
}

fn v4(octets: &[&str]) -> Option<IpNet> {
    let mut bytes = [0; 4];
    for (byte, label) in bytes.iter_mut().zip(octets.iter().rev()) {
        *byte = decimal(label)?;
    }
    let length = u8::try_from(octets.len()).ok().filter(|n| *n <= 4)? * 8;
    Some(Ipv4Net::new(Ipv4Addr::from(bytes), length).ok()?.into())
}

fn decimal(label: &str) -> Option<u8> {
    let canonical = label == "0" || !label.starts_with(['0', '+']);
    label.parse().ok().filter(|_| canonical)
}

fn v6(nibbles: &[&str]) -> Option<IpNet> {
    let mut bytes = [0u8; 16];
    if nibbles.len() > 32 {
        return None;
    }
    for (i, label) in nibbles.iter().rev().enumerate() {
        let [digit] = label.as_bytes() else { return None };
        let value = char::from(*digit).to_digit(16)? as u8;
        bytes[i / 2] |= if i % 2 == 0 { value << 4 } else { value };
    }
    let length = nibbles.len() as u8 * 4;
    Some(Ipv6Net::new(Ipv6Addr::from(bytes), length).ok()?.into())
}

/// How many labels of an address's name are below the zone that holds `net`: a prefix that does not
/// end between labels is served as several zones, each of the next longer whole label.
pub(super) fn zone_labels(net: &IpNet) -> usize {
    match net {
        IpNet::V4(n) => usize::from(n.prefix_len().div_ceil(8)),
        IpNet::V6(n) => usize::from(n.prefix_len().div_ceil(4)),
    }
}

/// The address, if the prefix is of just one.
pub(super) fn single(net: &IpNet) -> Option<IpAddr> {
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<String> {
        prefix(&name.split('.').collect::<Vec<_>>()).map(|n| n.to_string())
    }

    #[test]
    fn reverse_names_stand_for_prefixes() {
        assert_eq!(of("1.0.96.10.in-addr.arpa").as_deref(), Some("10.96.0.1/32"));
        assert_eq!(of("96.10.in-addr.arpa").as_deref(), Some("10.96.0.0/16"));
        assert_eq!(of("0.0.d.f.ip6.arpa").as_deref(), Some("fd00::/16"));
    }

    #[test]
    fn what_no_address_has_as_its_name_stands_for_nothing() {
        for name in [
            "01.0.96.10.in-addr.arpa",
            "+1.0.96.10.in-addr.arpa",
            "256.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "df.ip6.arpa",
            "g.ip6.arpa",
            "10.in-addr.example",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
