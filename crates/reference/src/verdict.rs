//! What comes out.

use fairlead_model::Addr;

use crate::tables::Tuple;

/// What becomes of a packet. Numbers are those of `enum fl_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To the kernel.
    Pass = 1,
    /// Dropped.
    Drop = 2,
    /// Into a pod.
    ToPod = 3,
    /// To a neighbour.
    ToNeighbour = 4,
    /// Into the tunnel.
    ToTunnel = 5,
}

/// Why a packet was dropped. Numbers are those of `enum fl_drop_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract has the sentences")]
pub enum Reason {
    None = 0,
    Malformed = 1,
    UnsupportedEthertype = 2,
    SourceAddress = 3,
    NoBackend = 4,
    NatExhausted = 6,
    FragmentOrder = 8,
    Tunnel = 10,
    ExtensionHeaders = 11,
    NatStale = 12,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What.
    pub action: Action,
    /// The device, where the packet is sent on.
    pub ifindex: u32,
    /// The neighbour, or the tunnel's far end.
    pub next_hop: Addr,
    /// Of drops.
    pub reason: Reason,
}

impl Verdict {
    /// To the kernel.
    pub const PASS: Verdict =
        Verdict { action: Action::Pass, ifindex: 0, next_hop: Addr([0; 16]), reason: Reason::None };

    /// Dropped.
    pub fn drop(reason: Reason) -> Verdict {
        Verdict { action: Action::Drop, reason, ..Verdict::PASS }
    }
}

/// The decision and the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The frame as it goes on; of a dropped one nobody cares.
    pub bytes: Vec<u8>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The packet's mark afterwards.
    pub mark: u32,
}

/// A choice of the kernel's that the tables do not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// No translation where one was to be made.
    #[error("no translation was stored for {0:?}, which begins a flow")]
    NotStored(Tuple),
    /// A backend that the frontend does not have.
    #[error("{tuple:?} became {to:?}, which is none of the frontend's backends")]
    Backend {
        /// The packet.
        tuple: Tuple,
        /// What it became.
        to: Tuple,
    },
    /// A port out of range, or that another flow has.
    #[error("{tuple:?} became {to:?}: the port is out of range or another flow's")]
    Port {
        /// The packet.
        tuple: Tuple,
        /// What it became.
        to: Tuple,
    },
}

/// A hook's step ends early: with a drop, or because the kernel's choice can't be.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Drop(Reason),
    Unexplained(Unexplained),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Drop(reason)
    }
}

impl From<Unexplained> for Stop {
    fn from(unexplained: Unexplained) -> Self {
        Stop::Unexplained(unexplained)
    }
}
