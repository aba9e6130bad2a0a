//! A histogram with fixed buckets that many may add to.

use std::sync::{Mutex, PoisonError};

/// Counts values by buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above the last.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: Vec<u64>,
    sum: f64,
}

/// What a histogram says at one time, counts cumulated as the text format has them.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Upper bound and number of values up to it.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Histogram {
    /// Buckets for a time in seconds from a tenth of a millisecond to ten seconds.
    pub const SECONDS: &'static [f64] = &[
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        5.0, 10.0,
    ];

    /// A histogram with buckets up to each of `bounds`, which ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(bounds.is_sorted(), "{bounds:?} do not ascend");
        let counts = vec![0; bounds.len() + 1];
        Histogram { bounds, state: Mutex::new(State { counts, sum: 0.0 }) }
    }

    /// Adds a value.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.counts[bucket] += 1;
        state.sum += value;
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (bound, n) in self.bounds.iter().zip(&state.counts) {
            count += n;
            buckets.push((*bound, count));
        }
        Snapshot { buckets, count: state.counts.iter().sum(), sum: state.sum }
    }
}
