//! The pure half: what the cluster's names are, and how questions and answers look on the wire.
//! It knows neither sockets nor time; what is random comes from the question's id.

mod answer;
mod encode;
mod forward;
mod lookup;
mod message;
mod names;
mod objects;
mod resolvers;
mod reverse;
mod store;
mod zone;

pub use self::answer::{Answer, Data, DnsName, Outcome, RrSet};
pub use self::forward::{Query, Reason, Verdict};
pub use self::message::{Edns, MAX_UDP, Reply, Request, Transport, respond};
pub use self::resolvers::Resolvers;
pub use self::zone::{Config, Zone};
pub use domain::base::iana::{OptRcode, Rtype};
