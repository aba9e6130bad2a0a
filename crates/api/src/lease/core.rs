//! What a replica does when it looks at the Lease. No I/O; the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

use super::LeaseOptions;

/// What a Lease says, as far as an election reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `spec.holderIdentity`; empty when given back.
    pub holder: String,
    /// `spec.leaseDurationSeconds`.
    pub duration: Duration,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
    /// Whether this write takes the lead (and sets `spec.acquireTime`), or renews it.
    pub acquires: bool,
}

/// What to do after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this, guarded by the version that was read.
    Write(Record),
    /// Somebody else leads.
    Wait,
}

/// One replica's view of the election.
pub(crate) struct Candidate {
    identity: String,
    duration: Duration,
    /// The Lease when it last changed, and when that was by the local clock.
    seen: Option<(Record, String, Instant)>,
}

impl Candidate {
    pub(crate) fn new(options: &LeaseOptions) -> Self {
        Self { identity: options.identity.clone(), duration: options.duration, seen: None }
    }

    /// Takes note of what the Lease says and decides. A holder's time runs from when this replica
    /// saw its last write: clocks of different machines are never compared.
    pub(crate) fn look(&mut self, found: Option<(Record, String)>, now: Instant) -> Step {
        let Some((record, version)) = found else {
            self.seen = None;
            return Step::Write(self.record(0, true));
        };
        if self.seen.as_ref().is_none_or(|(_, seen, _)| *seen != version) {
            self.seen = Some((record.clone(), version, now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, _, at)| *at);
        if record.holder == self.identity {
            return Step::Write(self.record(record.transitions, false));
        }
        if record.holder.is_empty() || now >= since + record.duration {
            return Step::Write(self.record(record.transitions + 1, true));
        }
        Step::Wait
    }

    pub(crate) fn wrote(&mut self, record: Record, version: String, now: Instant) {
        self.seen = Some((record, version, now));
    }

    /// The Lease without a holder, if this replica is the holder.
    pub(crate) fn give_back(&self) -> Option<(Record, String)> {
        let (record, version, _) = self.seen.as_ref()?;
        (record.holder == self.identity).then(|| {
            let free = Record { holder: String::new(), acquires: false, ..record.clone() };
            (free, version.clone())
        })
    }

    fn record(&self, transitions: i32, acquires: bool) -> Record {
        Record { holder: self.identity.clone(), duration: self.duration, transitions, acquires }
    }
}
