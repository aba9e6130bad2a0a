//! Questions as they come in, and what becomes of them.

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::rdata::UnknownRecordData;
use domain::base::wire::ParseError;
use domain::base::{Header, Message, Name, ToName};

use super::answer::{Answer, DnsName, Outcome};
use super::encode::{self, Encoded};
use super::forward::Query;
use super::zone::Zone;

/// The largest UDP answer: what passes every IPv6 link in one piece, headers included.
pub const MAX_UDP: usize = 1232;
/// The largest UDP answer to a client that does not say more (RFC 1035, 2.3.4).
const PLAIN_UDP: usize = 512;
const HEADER: usize = 12;

/// How a question came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// What a question's OPT record says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Size of the datagrams that the client takes.
    pub size: u16,
    /// The client wants DNSSEC records.
    pub dnssec_ok: bool,
}

/// A question that can be answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) header: Header,
    pub(super) name: DnsName,
    pub(super) rtype: Rtype,
    pub(super) class: Class,
    pub(super) edns: Option<Edns>,
    pub(super) transport: Transport,
}

impl Request {
    /// The name as the client wrote it.
    pub fn name(&self) -> &Name<[u8]> {
        self.name.for_slice()
    }

    /// The type.
    pub fn rtype(&self) -> Rtype {
        self.rtype
    }

    /// How many bytes the answer may have.
    pub fn limit(&self) -> usize {
        match (self.transport, self.edns) {
            (Transport::Tcp, _) => usize::from(u16::MAX),
            (Transport::Udp, None) => PLAIN_UDP,
            (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(PLAIN_UDP, MAX_UDP),
        }
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Reply {
    /// Nothing is sent: not a question, or not even a header.
    Ignore,
    /// These bytes are sent. The type is there if a question could be read.
    Send {
        /// The answer.
        bytes: Vec<u8>,
        /// The question's type.
        rtype: Option<Rtype>,
        /// The answer's code.
        rcode: OptRcode,
        /// Whether the answer is cut short for the client's limit.
        truncated: bool,
    },
    /// A resolver is asked.
    Forward(Box<Query>),
}

/// A message that is answered without looking at names.
struct Refused {
    header: Header,
    request: Option<Request>,
    rcode: OptRcode,
}

/// Reads a message and answers it from the zone, or says who does.
pub fn respond(zone: &Zone, message: &[u8], transport: Transport) -> Reply {
    let Some(header) = header(message) else { return Reply::Ignore };
    match read(header, message, transport) {
        Err(refused) => match refused.request {
            Some(request) => send(&request, &Answer::empty(refused.rcode)),
            None => Reply::Send {
                bytes: encode::bare(refused.header, refused.rcode),
                rtype: None,
                rcode: refused.rcode,
                truncated: false,
            },
        },
        Ok(request) => answer(zone, request),
    }
}

fn answer(zone: &Zone, request: Request) -> Reply {
    match zone.answer(request.name.for_slice(), request.rtype) {
        Outcome::Forward => Reply::Forward(Box::new(Query::new(request))),
        Outcome::NotReady => send(&request, &Answer::empty(OptRcode::SERVFAIL)),
        Outcome::Answer(answer) => match (&answer.chase, request.header.rd()) {
            (Some(_), true) => Reply::Forward(Box::new(Query::chase(request, answer))),
            _ => send(&request, &answer),
        },
    }
}

fn send(request: &Request, answer: &Answer) -> Reply {
    let Encoded { bytes, truncated } = encode::answer(request, answer);
    Reply::Send { bytes, rtype: Some(request.rtype), rcode: answer.rcode, truncated }
}

/// The header of a message that asks for an answer. Answers are never answered: that would loop.
fn header(message: &[u8]) -> Option<Header> {
    if message.len() < HEADER {
        return None;
    }
    let header = *Header::for_message_slice(message);
    (!header.qr()).then_some(header)
}

fn read(header: Header, message: &[u8], transport: Transport) -> Result<Request, Refused> {
    let bare = |rcode| Refused { header, request: None, rcode };
    if header.opcode() != Opcode::QUERY {
        return Err(bare(OptRcode::NOTIMP));
    }
    let message = Message::from_slice(message).map_err(|_| bare(OptRcode::FORMERR))?;
    // RFC 9619: a query has one question.
    if message.header_counts().qdcount() != 1 {
        return Err(bare(OptRcode::FORMERR));
    }
    let question = message.sole_question().map_err(|_| bare(OptRcode::FORMERR))?;
    let opt = opt(message).map_err(|_| bare(OptRcode::FORMERR))?;
    let request = Request {
        header,
        name: question.qname().to_vec(),
        rtype: question.qtype(),
        class: question.qclass(),
        edns: opt.map(|(edns, _)| edns),
        transport,
    };
    let refused = |rcode| Refused { header, request: Some(request.clone()), rcode };
    if opt.is_some_and(|(_, version)| version != 0) {
        return Err(refused(OptRcode::BADVERS));
    }
    match request.rtype {
        _ if request.class != Class::IN => Err(refused(OptRcode::REFUSED)),
        Rtype::AXFR | Rtype::IXFR => Err(refused(OptRcode::REFUSED)),
        Rtype::OPT => Err(refused(OptRcode::FORMERR)),
        _ => Ok(request),
    }
}

/// The OPT record and its version. All records are walked, so that a message that breaks off is found.
fn opt(message: &Message<[u8]>) -> Result<Option<(Edns, u8)>, ParseError> {
    let additional = skip(skip(message.answer()?)?)?;
    let mut found = None;
    for record in additional {
        let record = record?;
        if record.rtype() != Rtype::OPT {
            continue;
        }
        let form = ParseError::form_error("an OPT record is one and at the root (RFC 6891, 6.1.1)");
        if found.is_some() || !record.owner().is_root() {
            return Err(form);
        }
        let data = record.to_record::<UnknownRecordData<_>>()?.ok_or(form)?.into_data();
        whole_options(data.data())?;
        let ttl = record.ttl().as_secs();
        let edns = Edns { size: record.class().to_int(), dnssec_ok: ttl & 0x8000 != 0 };
        found = Some((edns, (ttl >> 16) as u8));
    }
    Ok(found)
}

/// Options are a code and a length each, and fill their record (RFC 6891, 6.1.2).
fn whole_options(mut data: &[u8]) -> Result<(), ParseError> {
    while !data.is_empty() {
        let [_, _, high, low, rest @ ..] = data else { return Err(ParseError::ShortInput) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        data = rest.get(length..).ok_or(ParseError::ShortInput)?;
    }
    Ok(())
}

fn skip<'a>(mut section: RecordSection<'a, [u8]>) -> Result<RecordSection<'a, [u8]>, ParseError> {
    for record in &mut section {
        record?;
    }
    section.next_section()?.ok_or(ParseError::ShortInput)
}
