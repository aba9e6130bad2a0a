//! What people read of the network: flows and drops as they happen, metrics, and an agent's status.
//!
//! Nothing here asks the kernel or the API: whoever knows a thing fills it in. [`flow`] has one
//! packet's story and how it is written and filtered, [`events`] the recent ones and who follows
//! them, [`metrics`] the Prometheus text, [`status`] the one screen that says what works.

pub mod events;
pub mod flow;
pub mod metrics;
pub mod status;
