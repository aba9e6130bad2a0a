//! What is counted: every question, every answer, and why there is none.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::core::{OptRcode, Reply, Rtype};

/// Types that are counted by name.
const TYPES: [Rtype; 9] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::SRV,
    Rtype::PTR,
    Rtype::CNAME,
    Rtype::TXT,
    Rtype::NS,
    Rtype::SOA,
    Rtype::ANY,
];
/// Codes that are counted by name.
const RCODES: [OptRcode; 7] = [
    OptRcode::NOERROR,
    OptRcode::FORMERR,
    OptRcode::SERVFAIL,
    OptRcode::NXDOMAIN,
    OptRcode::NOTIMP,
    OptRcode::REFUSED,
    OptRcode::BADVERS,
];

/// A server's counters at one time. All only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readable questions by type; the last is all types that have no place of their own, `other`.
    pub questions: Vec<(&'static str, u64)>,
    /// Answers by code; the last is `other`.
    pub answers: Vec<(&'static str, u64)>,
    /// Questions handed to resolvers.
    pub forwarded: u64,
    /// Of these, those that no resolver answered.
    pub forward_failures: u64,
    /// Of the failures, those that were not even asked: too many were waiting.
    pub forward_overflows: u64,
    /// Answers cut short.
    pub truncated: u64,
    /// Messages that were not questions; answered with FORMERR or NOTIMP where there was a header.
    pub malformed: u64,
    /// Messages that got no answer: answers themselves, or less than a header.
    pub ignored: u64,
    /// Answers that the kernel did not take, and messages that it could not give.
    pub socket_errors: u64,
    /// TCP connections that were closed at once: too many were open.
    pub refused_connections: u64,
}

impl Counts {
    /// A counter of `questions` or `answers` by its name.
    pub fn of(list: &[(&'static str, u64)], name: &str) -> u64 {
        list.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count)
    }
}

#[derive(Default)]
pub(super) struct Counters {
    questions: [AtomicU64; TYPES.len() + 1],
    answers: [AtomicU64; RCODES.len() + 1],
    pub(super) forwarded: AtomicU64,
    pub(super) forward_failures: AtomicU64,
    pub(super) forward_overflows: AtomicU64,
    truncated: AtomicU64,
    malformed: AtomicU64,
    ignored: AtomicU64,
    pub(super) socket_errors: AtomicU64,
    pub(super) refused_connections: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    /// Counts a message that came in, by what becomes of it.
    pub(super) fn question(&self, reply: &Reply) {
        let rtype = match reply {
            Reply::Ignore => return count(&self.ignored),
            Reply::Send { rtype: None, .. } => {
                count(&self.malformed);
                return self.answer(reply);
            }
            Reply::Send { rtype: Some(rtype), .. } => {
                self.answer(reply);
                *rtype
            }
            Reply::Forward(query) => {
                count(&self.forwarded);
                query.rtype()
            }
        };
        count(&self.questions[position(&TYPES, rtype)]);
    }

    /// Counts an answer.
    pub(super) fn answer(&self, reply: &Reply) {
        if let Reply::Send { rcode, truncated, .. } = reply {
            count(&self.answers[position(&RCODES, *rcode)]);
            if *truncated {
                count(&self.truncated);
            }
        }
    }

    pub(super) fn read(&self) -> Counts {
        let get = |c: &AtomicU64| c.load(Relaxed);
        let types = TYPES.iter().map(|t| t.to_mnemonic_str().unwrap_or("?")).chain(["other"]);
        let rcodes = RCODES.iter().map(|r| r.to_mnemonic_str().unwrap_or("?")).chain(["other"]);
        Counts {
            questions: types.zip(self.questions.iter().map(get)).collect(),
            answers: rcodes.zip(self.answers.iter().map(get)).collect(),
            forwarded: get(&self.forwarded),
            forward_failures: get(&self.forward_failures),
            forward_overflows: get(&self.forward_overflows),
            truncated: get(&self.truncated),
            malformed: get(&self.malformed),
            ignored: get(&self.ignored),
            socket_errors: get(&self.socket_errors),
            refused_connections: get(&self.refused_connections),
        }
    }
}

/// Where something is counted; behind the known ones if it is none of them.
fn position<T: PartialEq>(known: &[T], one: T) -> usize {
    known.iter().position(|k| *k == one).unwrap_or(known.len())
}
