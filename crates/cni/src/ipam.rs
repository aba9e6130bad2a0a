//! The node's addresses: [`Ranges`] decides which one is next and does no I/O; [`Records`] is the
//! memory of who has which, a file an attachment.

mod cidr;
mod range;
mod ranges;
mod record;
mod records;

pub use ranges::{Addresses, Ranges, Usage};
pub use record::{Record, Wanted};
pub use records::Records;
