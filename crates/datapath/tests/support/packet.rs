//! Frames from a description.

use fairlead_model::Addr;

use super::checksums;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

#[derive(Clone, Debug)]
pub enum L4 {
    Tcp {
        sport: u16,
        dport: u16,
        flags: u8,
    },
    Udp {
        sport: u16,
        dport: u16,
        checksum: bool,
    },
    Sctp {
        sport: u16,
        dport: u16,
    },
    Echo {
        request: bool,
        id: u16,
    },
    /// An ICMP error of this type with the bytes that it quotes.
    Error {
        kind: u8,
        quoted: Vec<u8>,
    },
    /// Another ICMP message.
    Icmp {
        kind: u8,
    },
    Other {
        proto: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Whole,
    First,
    Later,
    /// IPv6 with a fragment header that says that this is all (RFC 6946).
    Atomic,
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub saddr: Addr,
    pub daddr: Addr,
    pub ttl: u8,
    pub l4: L4,
    pub piece: Piece,
    pub id: u32,
    /// IPv4: words of options. IPv6: extension headers of these types.
    pub options: Vec<u8>,
    pub payload: usize,
    /// Bytes that the frame has behind the packet.
    pub padding: usize,
    /// The frame ends here.
    pub cut: Option<usize>,
    pub wrong_checksum: bool,
}

impl Spec {
    pub fn new(saddr: Addr, daddr: Addr, l4: L4) -> Self {
        Spec {
            saddr,
            daddr,
            l4,
            ttl: 64,
            piece: Piece::Whole,
            id: 1,
            options: Vec::new(),
            payload: 10,
            padding: 0,
            cut: None,
            wrong_checksum: false,
        }
    }

    pub fn v4(&self) -> bool {
        self.saddr.is_ipv4()
    }

    pub fn proto(&self) -> u8 {
        match self.l4 {
            L4::Tcp { .. } => TCP,
            L4::Udp { .. } => UDP,
            L4::Sctp { .. } => SCTP,
            L4::Other { proto } => proto,
            _ if self.v4() => 1,
            _ => 58,
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 0xaa, 0x02, 0, 0, 0, 0, 0xbb];
        let payload = self.transport();
        if self.v4() {
            frame.extend([0x08, 0x00]);
            frame.extend(self.head_v4(payload.len()));
        } else {
            frame.extend([0x86, 0xdd]);
            frame.extend(self.head_v6(payload.len()));
        }
        frame.extend(payload);
        frame.extend(vec![0xee; self.padding]);
        // BPF_PROG_TEST_RUN refuses frames that are shorter than the headers of their ethertype
        let shortest = if self.v4() { 34 } else { 54 };
        frame.truncate(self.cut.unwrap_or(usize::MAX).max(shortest));
        frame
    }

    fn head_v4(&self, payload: usize) -> Vec<u8> {
        let words = self.options.len().min(10);
        let mut head = vec![0u8; 20];
        // no-operation options
        head.extend(vec![1; words * 4]);
        head[0] = 0x45 + words as u8;
        head[1] = 0x10;
        let length = (head.len() + payload) as u16;
        head[2..4].copy_from_slice(&length.to_be_bytes());
        head[4..6].copy_from_slice(&(self.id as u16).to_be_bytes());
        let fragment: u16 = match self.piece {
            Piece::Whole | Piece::Atomic => 0x4000,
            Piece::First => 0x2000,
            Piece::Later => 0x0010,
        };
        head[6..8].copy_from_slice(&fragment.to_be_bytes());
        (head[8], head[9]) = (self.ttl, self.proto());
        head[12..16].copy_from_slice(&self.saddr.0[12..]);
        head[16..20].copy_from_slice(&self.daddr.0[12..]);
        let sum = checksums::checksum(&head);
        head[10..12].copy_from_slice(&sum.to_be_bytes());
        head
    }

    fn head_v6(&self, payload: usize) -> Vec<u8> {
        let mut chain: Vec<u8> = self.options.clone();
        if self.piece != Piece::Whole {
            chain.push(44);
        }
        let mut head = vec![0x60, 0x01, 0x23, 0x45, 0, 0, 0, self.ttl];
        head.extend(self.saddr.0);
        head.extend(self.daddr.0);
        let next = |i: usize| chain.get(i).copied().unwrap_or(self.proto());
        head[6] = next(0);
        for (i, kind) in chain.iter().enumerate() {
            let mut extension = [next(i + 1), 0, 0, 0, 0, 0, 0, 0];
            if *kind == 44 {
                let fragment: u16 = match self.piece {
                    Piece::Whole | Piece::Atomic => 0,
                    Piece::First => 1,
                    Piece::Later => 0x80,
                };
                extension[2..4].copy_from_slice(&fragment.to_be_bytes());
                extension[4..8].copy_from_slice(&self.id.to_be_bytes());
            }
            head.extend(extension);
        }
        let length = (head.len() - 40 + payload) as u16;
        head[4..6].copy_from_slice(&length.to_be_bytes());
        head
    }

    fn transport(&self) -> Vec<u8> {
        let data: Vec<u8> = (0..self.payload).map(|i| (i * 7 + self.id as usize) as u8).collect();
        if self.piece == Piece::Later {
            return data;
        }
        let (mut bytes, at) = match &self.l4 {
            L4::Tcp { sport, dport, flags } => {
                let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
                let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, *flags, 0x20, 0, 0, 0, 0, 0];
                ([&ports[..], &rest].concat(), Some(16))
            }
            L4::Udp { sport, dport, checksum } => {
                let length = (8 + data.len()) as u16;
                let words = [*sport, *dport, length, 0].map(u16::to_be_bytes).concat();
                (words, checksum.then_some(6))
            }
            L4::Sctp { sport, dport } => {
                let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
                ([&ports[..], &[0, 0, 0, 9, 1, 2, 3, 4]].concat(), None)
            }
            L4::Echo { request, id } => {
                let kind = match (self.v4(), request) {
                    (true, true) => 8,
                    (true, false) => 0,
                    (false, true) => 128,
                    (false, false) => 129,
                };
                let [a, b] = id.to_be_bytes();
                (vec![kind, 0, 0, 0, a, b, 0, 7], Some(2))
            }
            L4::Error { kind, quoted } => {
                ([&[*kind, 1, 0, 0, 0, 0, 0x05, 0x78][..], quoted].concat(), Some(2))
            }
            L4::Icmp { kind } => (vec![*kind, 0, 0, 0, 1, 2, 3, 4], Some(2)),
            L4::Other { .. } => (Vec::new(), None),
        };
        if !matches!(self.l4, L4::Error { .. }) {
            bytes.extend(data);
        }
        if let Some(at) = at {
            let mut sum = checksums::checksum(&[self.pseudo(bytes.len()), bytes.clone()].concat());
            if self.piece == Piece::First || self.wrong_checksum {
                sum = sum.wrapping_add(0x1357);
            }
            if self.proto() == UDP && sum == 0 {
                sum = 0xffff;
            }
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    pub fn pseudo(&self, length: usize) -> Vec<u8> {
        let rest = [(length >> 8) as u8, length as u8, 0, self.proto()];
        match (self.v4(), self.proto()) {
            (true, 1) => Vec::new(),
            (true, _) => [&self.saddr.0[12..], &self.daddr.0[12..], &rest].concat(),
            (false, _) => [&self.saddr.0[..], &self.daddr.0, &rest].concat(),
        }
    }
}
