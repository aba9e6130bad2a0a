//! Numbers for things that the kernel knows by a number.

use std::ops::Range;

use crate::{Run, Slots};

/// An allocator of numbers. A freed number rests before it is given again.
#[derive(Debug)]
pub struct Ids {
    first: u32,
    slots: Slots,
}

impl Ids {
    /// An allocator of the numbers in `range` whose freed numbers rest for `rest_ms` milliseconds.
    pub fn new(range: Range<u32>, rest_ms: u64) -> Self {
        let len = range.end.saturating_sub(range.start);
        Ids { first: range.start, slots: Slots::new(len, rest_ms) }
    }

    /// A number that nobody has and that has rested at `now`; `None` where there is none.
    pub fn allocate(&mut self, now: u64) -> Option<u32> {
        Some(self.first + self.slots.allocate(1, now)?.start)
    }

    /// Gives a number back; it rests from `now` on. `false` where it was not given.
    #[must_use = "false means that the caller's books and these differ"]
    pub fn free(&mut self, id: u32, now: u64) -> bool {
        self.run(id).is_some_and(|run| self.slots.free(run, now))
    }

    /// Takes a given number, as a restarted agent does with those that it finds in use. `false`
    /// where it is outside the range, in use or resting.
    #[must_use = "false means that two owners claim a number"]
    pub fn occupy(&mut self, id: u32) -> bool {
        self.run(id).is_some_and(|run| self.slots.occupy(run))
    }

    /// When the first of the resting numbers may be given again, if any rests.
    pub fn next_rest_end(&self) -> Option<u64> {
        self.slots.next_rest_end()
    }

    /// Number of numbers in all.
    pub fn capacity(&self) -> u32 {
        self.slots.capacity()
    }

    /// Number of numbers that are given.
    pub fn in_use(&self) -> u32 {
        self.slots.in_use()
    }

    fn run(&self, id: u32) -> Option<Run> {
        Some(Run { start: id.checked_sub(self.first)?, len: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_from_the_range_and_end_with_it() {
        let mut ids = Ids::new(1..4, 1000);
        let given: Vec<u32> = std::iter::from_fn(|| ids.allocate(0)).collect();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(ids.in_use(), 3);
    }

    #[test]
    fn a_freed_number_rests_before_it_is_given_again() {
        let mut ids = Ids::new(1..2, 1000);
        assert_eq!(ids.allocate(0), Some(1));
        assert!(ids.free(1, 500));
        assert_eq!(ids.allocate(1499), None);
        assert_eq!(ids.next_rest_end(), Some(1500));
        assert_eq!(ids.allocate(1500), Some(1));
    }

    #[test]
    fn a_number_outside_the_range_or_not_given_is_refused() {
        let mut ids = Ids::new(1..4, 0);
        assert!(!ids.free(0, 0) && !ids.free(2, 0) && !ids.free(4, 0));
        assert!(!ids.occupy(0) && !ids.occupy(4));
        assert!(ids.occupy(2) && !ids.occupy(2));
        assert_eq!((ids.allocate(0), ids.allocate(0), ids.allocate(0)), (Some(1), Some(3), None));
    }
}
