//! Checksums by the definition.

use fairlead_reference::Frame;

use super::packet::{L4, Spec, TCP, UDP};

/// Whether the checksums of a whole packet are right, by the definition: everything sums up to zero.
/// `None` where that can't be said: fragments, truncated packets, protocols without one.
pub fn are_right(bytes: &[u8]) -> Option<bool> {
    let ip = Frame::parse(bytes).ok()?.ip;
    let length = usize::from(u16::from_be_bytes(if ip.is_v4() {
        [ip.head[2], ip.head[3]]
    } else {
        [ip.head[4], ip.head[5]]
    }));
    let length = if ip.is_v4() { length } else { length + 40 } - ip.head.len();
    let checked = ip.is_icmp() || matches!(ip.proto, TCP | UDP);
    if ip.fragment.is_some() || !checked || ip.payload.len() < length {
        return None;
    }
    let payload = ip.payload[..length].to_vec();
    if ip.proto == UDP && payload[6..8] == [0, 0] {
        return None;
    }
    let spec = Spec::new(ip.saddr, ip.daddr, L4::Other { proto: ip.proto });
    let transport = checksum(&[spec.pseudo(length), payload].concat()) == 0;
    Some(transport && (!ip.is_v4() || checksum(&ip.head) == 0))
}

/// RFC 1071.
pub fn checksum(bytes: &[u8]) -> u16 {
    let word = |w: &[u8]| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}
