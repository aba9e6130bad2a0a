//! Answers as bytes, cut at the client's limit.

use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::iana::{Class, OptRcode};
use domain::base::message::RecordSection;
use domain::base::message_builder::{
    AdditionalBuilder, AnswerBuilder, MessageBuilder, PushError, StaticCompressor,
};
use domain::base::opt::exterr::ExtendedError;
use domain::base::record::ComposeRecord;
use domain::base::wire::Composer;
use domain::base::{CharStr, Header, Message, ParsedName, Serial, Ttl};
use domain::rdata::{A, Aaaa, AllRecordData, Cname, Hinfo, Ns, Ptr, Soa, Srv, Txt};

use super::answer::{Answer, Data, DnsName, RrSet};
use super::message::{MAX_UDP, Request};

type Buffer = StaticCompressor<Vec<u8>>;

/// Length of an OPT record without options.
const OPT: usize = 11;

/// A message.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) truncated: bool,
}

/// What an answer may carry besides the zone's records.
#[derive(Default)]
pub(super) struct Extra<'a> {
    /// A resolver's message, whose records follow an alias.
    pub(super) resolved: Option<&'a Message<[u8]>>,
    /// Why there is no answer (RFC 8914), for clients that speak EDNS.
    pub(super) error: Option<(ExtendedErrorCode, &'static str)>,
    /// The answer is known to be too large.
    pub(super) truncated: bool,
}

/// A header alone, for what has no question that could be repeated.
pub(super) fn bare(asked: Header, rcode: OptRcode) -> Vec<u8> {
    start(asked, rcode, false).finish().into_target()
}

/// The zone's answer.
pub(super) fn answer(request: &Request, answer: &Answer) -> Encoded {
    write(request, answer, &Extra::default())
}

/// An answer with what else belongs into it. Records that a client can't do without and that do not
/// fit are left out with the TC bit; glue is left out without (RFC 2181, section 9).
pub(super) fn write(request: &Request, answer: &Answer, extra: &Extra<'_>) -> Encoded {
    let ours = !answer.answers.is_empty() || !answer.authority.is_empty();
    let mut question = start(request.header, answer.rcode, ours).question();
    question
        .push((&request.name, request.rtype, request.class))
        .expect("a question fits into an empty message");
    let mut section = question.answer();
    let reserve = request.edns.map_or(0, |_| OPT);
    // The builder refuses what reaches its limit, not only what exceeds it.
    section.set_push_limit(request.limit() - reserve + 1);

    let mut fits = !extra.truncated;
    fits = fits && answers(&mut section, request, answer, extra).is_ok();
    let mut section = section.authority();
    fits =
        fits && rows(&answer.authority, 0).try_for_each(|row| section.push(row)).is_ok()
            && extra.resolved.map(Message::authority).is_none_or(|authority| {
                copy(authority.ok(), |record| section.push(record)).is_ok()
            });
    let mut section = section.additional();
    if fits {
        // Glue that does not fit is asked for again.
        let _ = rows(&answer.additional, 0).try_for_each(|row| section.push(row));
    }
    section.header_mut().set_tc(!fits);
    section.clear_push_limit();
    opt(&mut section, request, answer.rcode, extra);
    Encoded { bytes: section.finish().into_target(), truncated: !fits }
}

fn start(asked: Header, rcode: OptRcode, authoritative: bool) -> MessageBuilder<Buffer> {
    let buffer = StaticCompressor::new(Vec::with_capacity(512));
    let mut message = MessageBuilder::from_target(buffer).expect("a vector takes a header");
    let header = message.header_mut();
    header.set_id(asked.id());
    header.set_opcode(asked.opcode());
    header.set_qr(true);
    header.set_aa(authoritative);
    header.set_rd(asked.rd());
    header.set_cd(asked.cd());
    header.set_ra(true);
    header.set_rcode(rcode.rcode());
    message
}

fn answers(
    section: &mut AnswerBuilder<Buffer>,
    request: &Request,
    answer: &Answer,
    extra: &Extra<'_>,
) -> Result<(), PushError> {
    let turn = usize::from(request.header.id());
    rows(&answer.answers, turn).try_for_each(|row| section.push(row))?;
    match extra.resolved {
        Some(message) => copy(message.answer().ok(), |record| section.push(record)),
        None => Ok(()),
    }
}

type Resolved<'a> =
    domain::base::Record<ParsedName<&'a [u8]>, AllRecordData<&'a [u8], ParsedName<&'a [u8]>>>;

/// Records of a resolver's message; one that can't be read ends them.
fn copy<'a>(
    section: Option<RecordSection<'a, [u8]>>,
    mut push: impl FnMut(Resolved<'a>) -> Result<(), PushError>,
) -> Result<(), PushError> {
    let Some(section) = section else { return Ok(()) };
    section.limit_to::<AllRecordData<_, _>>().map_while(Result::ok).try_for_each(&mut push)
}

/// The EDNS record, if the client sent one.
fn opt(
    section: &mut AdditionalBuilder<Buffer>,
    request: &Request,
    rcode: OptRcode,
    extra: &Extra<'_>,
) {
    let Some(edns) = request.edns else { return };
    let error = extra.error.map(|(code, text)| {
        ExtendedError::<Vec<u8>>::new_with_str(code, text).expect("our texts are short")
    });
    section
        .opt(|opt| {
            opt.set_udp_payload_size(MAX_UDP as u16);
            opt.set_rcode(rcode);
            opt.set_dnssec_ok(edns.dnssec_ok);
            error.iter().try_for_each(|error| opt.push(error))
        })
        .expect("a message of at most 64 KiB less the record's own length takes it");
}

/// A record to be written.
struct Row<'a> {
    owner: &'a DnsName,
    ttl: Ttl,
    data: &'a Data,
}

/// The records of sets; addresses begin with a different one every turn, so that clients that take
/// the first do not all take the same.
fn rows(sets: &[RrSet], turn: usize) -> impl Iterator<Item = Row<'_>> {
    sets.iter().flat_map(move |set| {
        let (head, tail) = set.data.split_at(turn % set.data.len().max(1));
        let row = |data| Row { owner: &set.owner, ttl: Ttl::from_secs(set.ttl), data };
        tail.iter().chain(head).map(row)
    })
}

impl ComposeRecord for Row<'_> {
    fn compose_record<Target: Composer + ?Sized>(
        &self,
        target: &mut Target,
    ) -> Result<(), Target::AppendError> {
        let Row { owner, ttl, data } = *self;
        macro_rules! put {
            ($data:expr) => {
                (owner, Class::IN, ttl, $data).compose_record(target)
            };
        }
        match data {
            Data::A(ip) => put!(A::new(*ip)),
            Data::Aaaa(ip) => put!(Aaaa::new(*ip)),
            Data::Cname(name) => put!(Cname::new(name)),
            Data::Ptr(name) => put!(Ptr::new(name)),
            Data::Ns(name) => put!(Ns::new(name)),
            Data::Srv { weight, port, target: host } => put!(Srv::new(0, *weight, *port, host)),
            Data::Txt(text) => put!(
                Txt::<Vec<u8>>::build_from_slice(text.as_bytes()).expect("a short string fits")
            ),
            Data::Hinfo => put!(Hinfo::new(
                CharStr::from_octets(b"RFC8482".as_slice()).expect("7 bytes fit"),
                CharStr::from_octets(b"".as_slice()).expect("0 bytes fit")
            )),
            Data::Soa { server, mailbox, serial, minimum } => put!(Soa::new(
                server,
                mailbox,
                Serial(*serial),
                Ttl::from_secs(7200),
                Ttl::from_secs(1800),
                Ttl::from_secs(86400),
                Ttl::from_secs(*minimum)
            )),
        }
    }
}
