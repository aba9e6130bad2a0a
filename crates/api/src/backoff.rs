//! Waiting longer after each failure, and not in step with other nodes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(16);

/// Doubles from 250 ms to 16 s; each wait is between half and all of that, by chance, so that the
/// nodes of a cluster do not come back to a restarted API server all at once.
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    pub(crate) fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(LONGEST);
        full / 2 + (full / 2).mul_f64(chance())
    }
}

/// A number in 0..1. The standard library's hasher keys are random enough for jitter.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_again_after_a_reset() {
        let mut backoff = Backoff::new();
        let mut full = FIRST;
        for _ in 0..10 {
            let wait = backoff.wait();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        assert_eq!(full, LONGEST);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn two_nodes_do_not_wait_in_step() {
        let (mut a, mut b) = (Backoff::new(), Backoff::new());
        assert!((0..20).any(|_| a.wait() != b.wait()));
    }
}
