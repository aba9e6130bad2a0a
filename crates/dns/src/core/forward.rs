//! Questions that a resolver answers: what it is asked, which answers are taken, and what the
//! client gets.

use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::iana::{Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::MessageBuilder;
use domain::base::{Header, Message};

use super::answer::{Answer, DnsName};
use super::encode::{self, Encoded, Extra};
use super::message::{MAX_UDP, Reply, Request};

/// A client's question and what is asked of a resolver.
#[derive(Debug)]
pub struct Query {
    request: Request,
    /// The aliases that led out of the cluster, and the name that they led to.
    aliases: Option<Answer>,
    name: DnsName,
}

/// Why no resolver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The node has none.
    NoResolvers,
    /// None could be reached, or none answered in time.
    Unreachable,
    /// All that answered said that they can't.
    Failed,
    /// Too many questions are waiting for resolvers.
    Busy,
}

/// What a message is to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not its answer: a late, damaged or forged one.
    Foreign,
    /// Its answer, cut short.
    Truncated,
    /// The resolver can't answer; another may.
    Failed,
    /// Its answer.
    Answer,
}

impl Query {
    pub(super) fn new(request: Request) -> Self {
        Query { name: request.name.clone(), request, aliases: None }
    }

    pub(super) fn chase(request: Request, mut answer: Answer) -> Self {
        let name = answer.chase.take().unwrap_or_else(|| request.name.clone());
        Query { name, request, aliases: Some(answer) }
    }

    /// The question's type.
    pub fn rtype(&self) -> Rtype {
        self.request.rtype
    }

    /// The message for a resolver. EDNS options are of one hop and stay here (RFC 6891, 6.2.6).
    pub fn packet(&self, id: u16) -> Vec<u8> {
        let mut message = MessageBuilder::new_vec();
        let asked = self.request.header;
        let header = message.header_mut();
        header.set_id(id);
        header.set_rd(asked.rd());
        header.set_ad(asked.ad());
        header.set_cd(asked.cd());
        let mut question = message.question();
        question
            .push((&self.name, self.request.rtype, self.request.class))
            .expect("a question fits into an empty message");
        let mut additional = question.additional();
        if let Some(edns) = self.request.edns {
            additional
                .opt(|opt| {
                    opt.set_udp_payload_size(MAX_UDP as u16);
                    opt.set_dnssec_ok(edns.dnssec_ok);
                    Ok(())
                })
                .expect("an OPT record fits behind a question");
        }
        additional.finish()
    }

    /// Whether a message answers [`Query::packet`] of this id: same id, name, type and class.
    pub fn judge(&self, id: u16, message: &[u8]) -> Verdict {
        let Ok(parsed) = Message::from_slice(message) else { return Verdict::Foreign };
        let header = parsed.header();
        let ours = header.qr()
            && header.id() == id
            && header.opcode() == Opcode::QUERY
            && parsed.header_counts().qdcount() == 1
            && self.repeats_question(message);
        match header.rcode() {
            _ if !ours => Verdict::Foreign,
            _ if header.tc() => Verdict::Truncated,
            // As the C library has it: these say nothing of the name.
            Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED => Verdict::Failed,
            _ => Verdict::Answer,
        }
    }

    fn repeats_question(&self, message: &[u8]) -> bool {
        let name = self.name.as_slice();
        let end = HEADER + name.len();
        let tail = [self.request.rtype.to_int(), self.request.class.to_int()];
        message.get(HEADER..end).is_some_and(|n| n.eq_ignore_ascii_case(name))
            && message.get(end..end + 4) == Some(tail.map(u16::to_be_bytes).as_flattened())
    }

    /// The client's answer from a resolver's, which [`Query::judge`] has accepted.
    pub fn finish(&self, message: Vec<u8>) -> Reply {
        match &self.aliases {
            Some(aliases) => self.finish_alias(aliases, &message),
            None => self.pass(message),
        }
    }

    /// As it came, with the client's id and spelling; or only its header if it is too large.
    fn pass(&self, mut message: Vec<u8>) -> Reply {
        let request = &self.request;
        let rcode = OptRcode::from_parts(Header::for_message_slice(&message).rcode(), 0);
        if message.len() > request.limit() {
            let extra = Extra { truncated: true, ..Extra::default() };
            return self.reply(encode::write(request, &Answer::empty(rcode), &extra), rcode);
        }
        Header::for_message_slice_mut(&mut message).set_id(request.header.id());
        message[HEADER..HEADER + request.name.len()].copy_from_slice(request.name.as_slice());
        let truncated = Header::for_message_slice(&message).tc();
        self.reply(Encoded { bytes: message, truncated }, rcode)
    }

    fn finish_alias(&self, aliases: &Answer, message: &[u8]) -> Reply {
        let Ok(resolved) = Message::from_slice(message) else { return self.fail(Reason::Failed) };
        let rcode = OptRcode::from_parts(resolved.header().rcode(), 0);
        let answer = Answer { rcode, ..aliases.clone() };
        let extra = Extra { resolved: Some(resolved), ..Extra::default() };
        self.reply(encode::write(&self.request, &answer, &extra), rcode)
    }

    /// The client's answer when there is none. Its extended error says why (RFC 8914).
    pub fn fail(&self, reason: Reason) -> Reply {
        let error = match reason {
            Reason::NoResolvers => (ExtendedErrorCode::NETWORK_ERROR, "node has no resolvers"),
            Reason::Unreachable => {
                (ExtendedErrorCode::NETWORK_ERROR, "no answer from the node's resolvers")
            }
            Reason::Failed => {
                (ExtendedErrorCode::NO_REACHABLE_AUTHORITY, "the node's resolvers failed")
            }
            Reason::Busy => (ExtendedErrorCode::OTHER, "too many questions wait for resolvers"),
        };
        let extra = Extra { error: Some(error), ..Extra::default() };
        let answer = Answer::empty(OptRcode::SERVFAIL);
        self.reply(encode::write(&self.request, &answer, &extra), OptRcode::SERVFAIL)
    }

    fn reply(&self, encoded: Encoded, rcode: OptRcode) -> Reply {
        let Encoded { bytes, truncated } = encoded;
        Reply::Send { bytes, rtype: Some(self.request.rtype), rcode, truncated }
    }
}

const HEADER: usize = 12;
