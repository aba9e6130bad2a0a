//! Services and EndpointSlices to load-balancing tables, purely.
//!
//! [`State`] is fed with what the watches say and tells which Services that changed; their rows are
//! then asked for with [`State::frontends`], and what keeps a Service from working with
//! [`State::problems`]. [`Slots`] and [`Ids`] say where rows lie in the kernel's arrays and see to it
//! that a place rests before it is used again, since a program may still be reading it.
//!
//! Time comes in as milliseconds of any clock that does not go back.

mod compact;
mod frontends;
mod ids;
mod problem;
mod slots;
mod state;

pub use frontends::{BackendAddr, FrontendSpec, MAX_BACKENDS};
pub use ids::Ids;
pub use problem::Problem;
pub use slots::{Run, Slots};
pub use state::State;
