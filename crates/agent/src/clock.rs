//! CLOCK_MONOTONIC, which the datapath's programs use too.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot.
pub fn nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Milliseconds since boot.
pub fn millis() -> u64 {
    nanos() / 1_000_000
}

/// Seconds since boot.
pub fn seconds() -> u32 {
    (nanos() / 1_000_000_000) as u32
}

/// What to add to the monotonic clock to get nanoseconds since the Unix epoch.
pub fn unix_offset() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (wall.as_nanos() as u64).saturating_sub(nanos())
}
