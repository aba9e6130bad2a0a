//! What a zone says to a question, before it is bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::Name;
use domain::base::iana::{OptRcode, Rtype};
use fairlead_model::Addr;

/// An absolute domain name.
pub type DnsName = Name<Vec<u8>>;

/// One record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that this one is an alias of.
    Cname(DnsName),
    /// Where a port is served; the priority is always 0.
    Srv {
        /// Share among the set's records.
        weight: u16,
        /// Port number.
        port: u16,
        /// Host name.
        target: DnsName,
    },
    /// The name of an address.
    Ptr(DnsName),
    /// A server of the zone.
    Ns(DnsName),
    /// One string.
    Txt(&'static str),
    /// The zone's authority.
    Soa {
        /// Primary server.
        server: DnsName,
        /// Mailbox of the zone's keeper.
        mailbox: DnsName,
        /// Counts the zone's changes.
        serial: u32,
        /// How long absence may be remembered, in seconds.
        minimum: u32,
    },
    /// The answer to ANY (RFC 8482, section 4.2).
    Hinfo,
}

impl Data {
    /// The record's type.
    pub fn rtype(&self) -> Rtype {
        match self {
            Data::A(_) => Rtype::A,
            Data::Aaaa(_) => Rtype::AAAA,
            Data::Cname(_) => Rtype::CNAME,
            Data::Srv { .. } => Rtype::SRV,
            Data::Ptr(_) => Rtype::PTR,
            Data::Ns(_) => Rtype::NS,
            Data::Txt(_) => Rtype::TXT,
            Data::Soa { .. } => Rtype::SOA,
            Data::Hinfo => Rtype::HINFO,
        }
    }

    /// The host whose addresses a client asks for next.
    pub(super) fn host(&self) -> Option<&DnsName> {
        match self {
            Data::Srv { target, .. } | Data::Ns(target) => Some(target),
            _ => None,
        }
    }
}

impl From<Addr> for Data {
    fn from(addr: Addr) -> Self {
        match addr.ip() {
            IpAddr::V4(v4) => Data::A(v4),
            IpAddr::V6(v6) => Data::Aaaa(v6),
        }
    }
}

/// The records of one owner; of one type, except in glue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    /// The owner, in lower case.
    pub owner: DnsName,
    /// Time to live in seconds.
    pub ttl: u32,
    /// The records.
    pub data: Vec<Data>,
}

/// An authoritative answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub rcode: OptRcode,
    /// Aliases in the order in which they are followed, then what was asked for.
    pub answers: Vec<RrSet>,
    /// The SOA where there is nothing of the type.
    pub authority: Vec<RrSet>,
    /// Addresses of the hosts in the answer.
    pub additional: Vec<RrSet>,
    /// The last alias leads out of the cluster: a resolver knows the rest.
    pub chase: Option<DnsName>,
}

impl Answer {
    /// An answer without records.
    pub fn empty(rcode: OptRcode) -> Self {
        Answer {
            rcode,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            chase: None,
        }
    }
}

/// Who answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The zone does.
    Answer(Answer),
    /// The name is not the cluster's.
    Forward,
    /// The name would be the cluster's, but the cluster has not been read yet.
    NotReady,
}
