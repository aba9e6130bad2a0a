//! The ring buffer of drops and new flows.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

use crate::contract::Event;

/// Reads `fl_events` as they come. There is one reader a node.
pub struct Events {
    ring: AsyncFd<Ring>,
}

struct Ring(RingBuf<MapData>);

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Events {
    pub(crate) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the map's descriptor stays open as long as Ring owns the map, and Ring is moved into
        // the AsyncFd, which is dropped with it.
        let ring = unsafe { AsyncFd::register(Ring(ring)) };
        Ok(Events { ring: ring? })
    }

    /// Waits for events and hands over those that are there, at most `limit`.
    pub async fn next(&mut self, limit: usize) -> io::Result<Vec<Event>> {
        loop {
            let mut guard = self.ring.readable_mut().await?;
            let mut events = Vec::new();
            while events.len() < limit {
                let Some(item) = guard.get_inner_mut().0.next() else {
                    guard.clear_ready();
                    break;
                };
                events.extend(read(&item));
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

fn read(bytes: &[u8]) -> Option<Event> {
    if bytes.len() < std::mem::size_of::<Event>() {
        return None;
    }
    // SAFETY: long enough, and Event is plain integers: any bytes are one. The ring aligns to 8, but
    // reading unaligned costs nothing.
    Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<Event>()) })
}
