//! Netlink on a blocking socket: many requests in one system call, each with its answer.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::{RecvFlags, recv};

use crate::{Error, Result};

/// Requests in one `sendmsg`. Their acknowledgements must fit the socket's receive buffer, as the
/// kernel answers before `sendmsg` returns.
const BATCH: usize = 64;
/// The kernel's largest dump message is 32 KiB.
const BUFFER: usize = 64 * 1024;
/// How often a dump that changed while it was read is begun again.
const DUMP_ATTEMPTS: usize = 8;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// One request, with what it does in words for errors.
pub(crate) struct Request {
    pub what: String,
    pub flags: u16,
    pub message: Message,
}

impl Request {
    pub fn new(what: impl Into<String>, flags: u16, message: Message) -> Self {
        Self { what: what.into(), flags, message }
    }
}

/// The kernel's answer to one request: what it sent back (for a get), or why not.
pub(crate) type Answer = Result<Option<Message>>;

/// A route netlink socket of the namespace in which it was opened.
pub(crate) struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one in the calling thread's namespace.
    pub fn open() -> Result<Self> {
        let open = || {
            let socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
            socket.set_cap_ack(true)?;
            socket.set_ext_ack(true)?;
            // Without it the kernel ignores the filters of dumps.
            socket.set_netlink_get_strict_chk(true)?;
            Ok(socket)
        };
        let socket = open().map_err(Error::io("open a netlink socket"))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Does all requests in order, also after one failed; the answers are in the same order.
    pub fn run(&mut self, requests: Vec<Request>) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let batch = requests.by_ref().take(BATCH).collect();
            self.run_batch(batch, &mut answers)?;
        }
        Ok(answers)
    }

    /// Does all requests; the first error, if there is one.
    pub fn run_all(&mut self, requests: Vec<Request>) -> Result<()> {
        self.run(requests)?.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Does one request.
    pub fn run_one(&mut self, request: Request) -> Answer {
        self.run(vec![request])?.pop().expect("one answer a request")
    }

    /// All messages of a dump. What cannot be parsed (a newer kernel's) is left out.
    pub fn dump(&mut self, what: &str, message: Message) -> Result<Vec<Message>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(messages) = self.dump_once(what, message.clone())? {
                return Ok(messages);
            }
        }
        Err(Error::Answer { what: what.into(), why: "it changed each time it was read".into() })
    }

    fn run_batch(&mut self, batch: Vec<Request>, answers: &mut Vec<Answer>) -> Result<()> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        let mut names = Vec::with_capacity(batch.len());
        for request in batch {
            self.append(&mut bytes, request.flags | NLM_F_ACK, request.message);
            names.push(request.what);
        }
        self.send(&bytes)?;
        let mut outcomes: Vec<Option<Answer>> = names.iter().map(|_| None).collect();
        let mut replies: Vec<Option<Message>> = names.iter().map(|_| None).collect();
        while outcomes.iter().any(Option::is_none) {
            self.receive(|header, payload| {
                let index = header.sequence_number.wrapping_sub(first) as usize;
                let Some(what) = names.get(index) else { return };
                if header.message_type == NLMSG_ERROR {
                    let reply = replies[index].take();
                    outcomes[index] = Some(acknowledged(what, &header, payload).map(|()| reply));
                } else {
                    match Message::deserialize(&header, payload) {
                        Ok(message) => replies[index] = Some(message),
                        Err(error) => tracing::debug!(%error, what, "netlink answer left out"),
                    }
                }
            })?;
        }
        answers.extend(outcomes.into_iter().flatten());
        Ok(())
    }

    /// None when the kernel says that the dump is not consistent.
    fn dump_once(&mut self, what: &str, message: Message) -> Result<Option<Vec<Message>>> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, NLM_F_DUMP, message);
        self.send(&bytes)?;
        let sequence = self.sequence;
        let (mut messages, mut end, mut interrupted) = (Vec::new(), None, false);
        while end.is_none() {
            self.receive(|header, payload| {
                if header.sequence_number != sequence {
                    return;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match header.message_type {
                    NLMSG_DONE | NLMSG_ERROR => end = Some(acknowledged(what, &header, payload)),
                    _ => match Message::deserialize(&header, payload) {
                        Ok(message) => messages.push(message),
                        Err(error) => tracing::debug!(%error, what, "netlink answer left out"),
                    },
                }
            })?;
        }
        end.unwrap_or(Ok(()))?;
        Ok((!interrupted).then_some(messages))
    }

    fn append(&mut self, bytes: &mut Vec<u8>, flags: u16, message: Message) {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut bytes[start..start + message.buffer_len()]);
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        self.socket.send(bytes, 0).map(drop).map_err(Error::io("send to the kernel by netlink"))
    }

    fn receive(&mut self, mut each: impl FnMut(NetlinkHeader, &[u8])) -> Result<()> {
        let (size, _) = rustix::io::retry_on_intr(|| {
            recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())
        })
        .map_err(Error::system("receive from the kernel by netlink"))?;
        let mut rest = &self.buffer[..size];
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            let mut header = NetlinkHeader::default();
            header.length = message.length();
            header.message_type = message.message_type();
            header.flags = message.flags();
            header.sequence_number = message.sequence_number();
            each(header, message.payload());
            let length = (message.length() as usize).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The errno at the start of NLMSG_ERROR and NLMSG_DONE, and the kernel's words behind it.
fn acknowledged(what: &str, header: &NetlinkHeader, payload: &[u8]) -> Result<()> {
    let code = payload.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 {
        return Ok(());
    }
    // NLMSG_ERROR repeats the request's header (16 bytes, capped) before the attributes.
    let skip = if header.message_type == NLMSG_ERROR { 20 } else { 4 };
    let attributes = (header.flags & NLM_F_ACK_TLVS != 0).then(|| payload.get(skip..)).flatten();
    let detail = NlasIterator::new(attributes.unwrap_or_default())
        .filter_map(std::result::Result::ok)
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)
        .map(|text| String::from_utf8_lossy(text.value()).trim_end_matches(['\0', '.']).to_owned());
    Err(Error::Kernel {
        what: what.into(),
        source: std::io::Error::from_raw_os_error(-code),
        detail,
    })
}
