//! One IP packet: what the datapath reads of it and may change.

use fairlead_model::Addr;

use crate::checksum;
use crate::tables::Tuple;

/// Protocol numbers (IANA).
pub mod proto {
    #![allow(missing_docs, reason = "the names say it")]
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
    pub const SCTP: u8 = 132;
}

/// A piece of a larger packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The identification; 16 bits in IPv4.
    pub id: u32,
    /// Offset zero: the piece with the transport header.
    pub first: bool,
}

/// What the packet carries, as far as the datapath cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, UDP or SCTP.
    Ports {
        /// Source.
        sport: u16,
        /// Destination.
        dport: u16,
    },
    /// An ICMP echo request or reply.
    Echo {
        /// Request or reply.
        request: bool,
        /// The identifier.
        id: u16,
    },
    /// An ICMP error, which quotes a packet.
    Error,
    /// Anything else.
    Other,
    /// Unknown: it was in the first fragment.
    LaterFragment,
}

/// An IP packet, whole or quoted by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// The header as received, with options or extension headers.
    pub head: Vec<u8>,
    /// Source.
    pub saddr: Addr,
    /// Destination.
    pub daddr: Addr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The transport protocol.
    pub proto: u8,
    /// Where the packet is a piece of one.
    pub fragment: Option<Fragment>,
    /// From the transport header to the end of the frame, padding included.
    pub payload: Vec<u8>,
}

impl Ip {
    /// Whether this is IPv4.
    pub fn is_v4(&self) -> bool {
        self.head[0] >> 4 == 4
    }

    /// Whether this is a fragment without a transport header.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|f| !f.first)
    }

    /// Whether the protocol is the family's ICMP.
    pub fn is_icmp(&self) -> bool {
        self.proto == if self.is_v4() { proto::ICMP } else { proto::ICMPV6 }
    }

    /// Whether the protocol has ports.
    pub fn has_ports(&self) -> bool {
        matches!(self.proto, proto::TCP | proto::UDP | proto::SCTP)
    }

    /// A TCP segment that begins a connection: SYN without ACK.
    pub fn is_tcp_syn(&self) -> bool {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        self.proto == proto::TCP
            && !self.is_later_fragment()
            && self.payload[13] & (SYN | ACK) == SYN
    }

    /// What it carries.
    pub fn transport(&self) -> Transport {
        if self.is_later_fragment() {
            return Transport::LaterFragment;
        }
        if self.has_ports() {
            return Transport::Ports { sport: self.word(0), dport: self.word(2) };
        }
        if !self.is_icmp() {
            return Transport::Other;
        }
        match (self.is_v4(), self.payload[0]) {
            (true, 8) | (false, 128) => Transport::Echo { request: true, id: self.word(4) },
            (true, 0) | (false, 129) => Transport::Echo { request: false, id: self.word(4) },
            // RFC 792: unreachable, time exceeded, parameter problem; RFC 4443, section 3
            (true, 3 | 11 | 12) | (false, 1..=4) => Transport::Error,
            _ => Transport::Other,
        }
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.payload[at], self.payload[at + 1]])
    }

    fn put_word(&mut self, at: usize, value: u16) {
        self.payload[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// What the packet says of its ends; no ports in a later fragment.
    pub fn tuple(&self) -> Tuple {
        let (sport, dport) = match self.transport() {
            Transport::Ports { sport, dport } => (sport, dport),
            Transport::Echo { id, .. } => (id, id),
            Transport::Error | Transport::Other | Transport::LaterFragment => (0, 0),
        };
        Tuple { saddr: self.saddr, daddr: self.daddr, sport, dport, proto: self.proto }
    }

    /// Makes the packet say `to`. Ports only where it has them.
    pub fn rewrite(&mut self, to: &Tuple) {
        (self.saddr, self.daddr) = (to.saddr, to.daddr);
        match self.transport() {
            Transport::Ports { .. } => {
                self.put_word(0, to.sport);
                self.put_word(2, to.dport);
            }
            Transport::Echo { .. } => self.put_word(4, to.sport),
            Transport::Error | Transport::Other | Transport::LaterFragment => {}
        }
    }

    /// The header's bytes, with the checksum that IPv4 has.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = self.head.clone();
        if !self.is_v4() {
            head[7] = self.ttl;
            head[8..24].copy_from_slice(&self.saddr.0);
            head[24..40].copy_from_slice(&self.daddr.0);
            return head;
        }
        head[8] = self.ttl;
        head[12..16].copy_from_slice(&self.saddr.0[12..]);
        head[16..20].copy_from_slice(&self.daddr.0[12..]);
        if head != self.head {
            let sum = |h: &[u8]| checksum::sum(&[&h[..10], &h[12..]]);
            let stored = u16::from_be_bytes([head[10], head[11]]);
            let new = checksum::carried(stored, sum(&self.head), sum(&head));
            head[10..12].copy_from_slice(&new.to_be_bytes());
        }
        head
    }

    /// The payload's bytes with their checksum; `received` is the packet before any change.
    pub fn payload_bytes(&self, received: &Ip) -> Vec<u8> {
        let mut payload = self.payload.clone();
        let Some(at) = self.checksum_place() else { return payload };
        let (before, after) = (received.transport_sum(at), self.transport_sum(at));
        let stored = u16::from_be_bytes([payload[at], payload[at + 1]]);
        let none = self.proto == proto::UDP && stored == 0;
        if none || before == after {
            return payload;
        }
        let mut new = checksum::carried(stored, before, after);
        if self.proto == proto::UDP && new == 0 {
            // zero would say that there is none (RFC 768)
            new = 0xffff;
        }
        payload[at..at + 2].copy_from_slice(&new.to_be_bytes());
        payload
    }

    /// SCTP's CRC32c covers its ports but no addresses; nobody updates it for a Service's other port.
    fn checksum_place(&self) -> Option<usize> {
        match self.proto {
            _ if self.is_later_fragment() => None,
            proto::TCP => Some(16),
            proto::UDP => Some(6),
            _ if self.is_icmp() => Some(2),
            _ => None,
        }
    }

    /// The sum over the pseudo header and the payload, without the checksum at `at`. The length in
    /// the pseudo header never changes and is left out, as are bytes behind the packet's end: equal
    /// on both sides, they cancel out in [`checksum::carried`].
    fn transport_sum(&self, at: usize) -> u16 {
        let with_addresses = self.proto != proto::ICMP || !self.is_v4();
        let addresses = [self.saddr.0, self.daddr.0].concat();
        let pseudo: &[u8] = if with_addresses { &addresses } else { &[] };
        checksum::sum(&[pseudo, &[0, self.proto], &self.payload[..at], &self.payload[at + 2..]])
    }
}
