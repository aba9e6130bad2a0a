//! Ethernet frames and the headers of IP, from bytes and to bytes.

use fairlead_model::Addr;

use crate::ip::{Fragment, Ip, proto};

const ETHERNET: usize = 14;
const MAX_EXTENSION_HEADERS: usize = 6;

/// A frame with an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Destination.
    pub dst: [u8; 6],
    /// Source.
    pub src: [u8; 6],
    /// The packet, which may be changed.
    pub ip: Ip,
    ethertype: [u8; 2],
    received: Ip,
}

/// Why a frame is none of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// ARP, which is the kernel's.
    Arp,
    /// Another ethertype.
    Ethertype,
    /// Headers that do not fit.
    Malformed,
    /// More IPv6 extension headers than are looked at.
    ExtensionHeaders,
}

/// How much of the transport header must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The fixed header.
    Whole,
    /// What an ICMP error quotes at least (RFC 792).
    Quoted,
}

impl Frame {
    /// Reads a frame.
    pub fn parse(bytes: &[u8]) -> Result<Frame, Unreadable> {
        let (head, rest) = bytes.split_at_checked(ETHERNET).ok_or(Unreadable::Malformed)?;
        let ip = match [head[12], head[13]] {
            [0x08, 0x06] => return Err(Unreadable::Arp),
            [0x08, 0x00] => parse_v4(rest, Need::Whole)?,
            [0x86, 0xdd] => parse_v6(rest, Need::Whole)?,
            _ => return Err(Unreadable::Ethertype),
        };
        let mac = |at: usize| <[u8; 6]>::try_from(&head[at..at + 6]).expect("six bytes");
        let ethertype = [head[12], head[13]];
        Ok(Frame { dst: mac(0), src: mac(6), ethertype, received: ip.clone(), ip })
    }

    /// Writes it, with checksums that follow the changes.
    pub fn emit(&self) -> Vec<u8> {
        [
            &self.dst[..],
            &self.src,
            &self.ethertype,
            &self.ip.head_bytes(),
            &self.ip.payload_bytes(&self.received),
        ]
        .concat()
    }

    /// Bytes behind the Ethernet header, which the MTU is about.
    pub fn length(&self) -> usize {
        self.ip.head.len() + self.ip.payload.len()
    }
}

/// Reads the packet that an error of the same family quotes.
pub fn parse_quoted(bytes: &[u8], v4: bool) -> Option<Ip> {
    let parse = if v4 { parse_v4 } else { parse_v6 };
    parse(bytes, Need::Quoted).ok()
}

fn parse_v4(bytes: &[u8], need: Need) -> Result<Ip, Unreadable> {
    let first = *bytes.first().ok_or(Unreadable::Malformed)?;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || length < 20 {
        return Err(Unreadable::Malformed);
    }
    let (head, payload) = bytes.split_at_checked(length).ok_or(Unreadable::Malformed)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (more, offset) = (word(6) & 0x2000 != 0, word(6) & 0x1fff);
    let addr = |at: usize| {
        Addr::from(std::net::Ipv4Addr::from(
            <[u8; 4]>::try_from(&head[at..at + 4]).expect("four bytes"),
        ))
    };
    let ip = Ip {
        head: head.to_vec(),
        saddr: addr(12),
        daddr: addr(16),
        ttl: head[8],
        proto: head[9],
        fragment: (more || offset != 0)
            .then(|| Fragment { id: u32::from(word(4)), first: offset == 0 }),
        payload: payload.to_vec(),
    };
    check_transport(ip, need)
}

fn parse_v6(bytes: &[u8], need: Need) -> Result<Ip, Unreadable> {
    let fixed = bytes.get(..40).ok_or(Unreadable::Malformed)?;
    if fixed[0] >> 4 != 6 {
        return Err(Unreadable::Malformed);
    }
    let addr = |at: usize| Addr(<[u8; 16]>::try_from(&fixed[at..at + 16]).expect("16 bytes"));
    let extensions = extensions(bytes, fixed[6])?;
    let (head, payload) = bytes.split_at(extensions.end);
    let ip = Ip {
        head: head.to_vec(),
        saddr: addr(8),
        daddr: addr(24),
        ttl: fixed[7],
        proto: extensions.proto,
        fragment: extensions.fragment,
        payload: payload.to_vec(),
    };
    check_transport(ip, need)
}

struct Extensions {
    proto: u8,
    fragment: Option<Fragment>,
    end: usize,
}

/// Extension headers (RFC 8200, section 4), from the one after the fixed header.
fn extensions(bytes: &[u8], first: u8) -> Result<Extensions, Unreadable> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;

    let mut found = Extensions { proto: first, fragment: None, end: 40 };
    let mut count = 0;
    while matches!(found.proto, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
        if found.fragment.is_some_and(|f| !f.first) {
            // what follows is data, whatever the fragment header calls it
            break;
        }
        count += 1;
        if count > MAX_EXTENSION_HEADERS {
            return Err(Unreadable::ExtensionHeaders);
        }
        let rest = &bytes[found.end..];
        let header = rest.get(..8).ok_or(Unreadable::Malformed)?;
        if found.proto == FRAGMENT {
            let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
            // an atomic fragment (RFC 6946) is the whole packet
            found.fragment = (offset_and_more & 0xfff9 != 0).then(|| Fragment {
                id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                first: offset_and_more & 0xfff8 == 0,
            });
            found.end += 8;
        } else {
            found.end += (usize::from(header[1]) + 1) * 8;
        }
        if found.end > bytes.len() {
            return Err(Unreadable::Malformed);
        }
        found.proto = header[0];
    }
    Ok(found)
}

fn check_transport(ip: Ip, need: Need) -> Result<Ip, Unreadable> {
    let whole = match ip.proto {
        _ if ip.is_later_fragment() => 0,
        proto::TCP => 20,
        proto::UDP => 8,
        proto::SCTP => 12,
        _ if ip.is_icmp() => 8,
        _ => 0,
    };
    let bytes = match need {
        Need::Whole => whole,
        // ports come first, an echo's identifier ends in the eighth byte
        Need::Quoted if ip.has_ports() => whole.min(4),
        Need::Quoted => whole.min(8),
    };
    if ip.payload.len() < bytes { Err(Unreadable::Malformed) } else { Ok(ip) }
}
