//! Places for runs of entries in one big array.
//!
//! Best fit over two indices of the free space, by start and by length, so that allocating stays
//! logarithmic in the number of holes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A contiguous part of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// Index of the first entry.
    pub start: u32,
    /// Number of entries.
    pub len: u32,
}

impl Run {
    /// The run of no entries, which takes no place.
    pub const EMPTY: Run = Run { start: 0, len: 0 };

    fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.len)
    }
}

/// An allocator of runs. A freed run rests before it is given again.
#[derive(Debug)]
pub struct Slots {
    capacity: u32,
    rest_ms: u64,
    /// Length by start of what is given.
    used: BTreeMap<u32, u32>,
    /// Length by start of what is free; neighbours are merged.
    free: BTreeMap<u32, u32>,
    /// The same, as (length, start).
    by_len: BTreeSet<(u32, u32)>,
    /// Freed runs with the time when their rest ends, oldest first.
    resting: VecDeque<(u64, Run)>,
}

impl Slots {
    /// An allocator for `capacity` entries whose freed runs rest for `rest_ms` milliseconds.
    pub fn new(capacity: u32, rest_ms: u64) -> Self {
        let mut slots = Slots {
            capacity,
            rest_ms,
            used: BTreeMap::new(),
            free: BTreeMap::new(),
            by_len: BTreeSet::new(),
            resting: VecDeque::new(),
        };
        slots.add_free(Run { start: 0, len: capacity });
        slots
    }

    /// A run of `len` entries that nobody has and that has rested at `now`; `None` where no hole is
    /// large enough. [`Slots::next_rest_end`] says whether waiting may help.
    pub fn allocate(&mut self, len: u32, now: u64) -> Option<Run> {
        if len == 0 {
            return Some(Run::EMPTY);
        }
        self.wake(now);
        let &(hole, start) = self.by_len.range((len, 0)..).next()?;
        self.remove_free(Run { start, len: hole });
        self.add_free(Run { start: start + len, len: hole - len });
        self.used.insert(start, len);
        Some(Run { start, len })
    }

    /// Gives a run back; it rests from `now` on. `false` where that run was not given.
    #[must_use = "false means that the caller's books and these differ"]
    pub fn free(&mut self, run: Run, now: u64) -> bool {
        if run.len == 0 {
            return true;
        }
        if self.used.get(&run.start) != Some(&run.len) {
            return false;
        }
        self.used.remove(&run.start);
        self.resting.push_back((now.saturating_add(self.rest_ms), run));
        true
    }

    /// Takes a given place, as a restarted agent does with the runs that it finds in use. `false`
    /// where part of it is outside the array, in use or resting: nothing is then taken.
    #[must_use = "false means that two owners claim an entry"]
    pub fn occupy(&mut self, run: Run) -> bool {
        if run.len == 0 {
            return true;
        }
        let Some((&start, &len)) = self.free.range(..=run.start).next_back() else { return false };
        let hole = Run { start, len };
        if run.end() > hole.end() {
            return false;
        }
        self.remove_free(hole);
        self.add_free(Run { start, len: run.start - start });
        // Within the array, so it fits.
        let end = run.start + run.len;
        self.add_free(Run { start: end, len: (hole.end() - run.end()) as u32 });
        self.used.insert(run.start, run.len);
        true
    }

    /// When the first of the resting runs may be given again, if any rests.
    pub fn next_rest_end(&self) -> Option<u64> {
        self.resting.front().map(|(until, _)| *until)
    }

    /// Number of entries in all.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Number of entries that are given.
    pub fn in_use(&self) -> u32 {
        self.used.values().sum()
    }

    /// The largest run that could be given at `now`.
    pub fn largest_free(&mut self, now: u64) -> u32 {
        self.wake(now);
        self.by_len.last().map_or(0, |(len, _)| *len)
    }

    fn wake(&mut self, now: u64) {
        while let Some(&(until, run)) = self.resting.front()
            && until <= now
        {
            self.resting.pop_front();
            self.merge_free(run);
        }
    }

    fn merge_free(&mut self, run: Run) {
        let mut merged = run;
        if let Some((&start, &len)) = self.free.range(..run.start).next_back()
            && start + len == run.start
        {
            self.remove_free(Run { start, len });
            merged = Run { start, len: len + run.len };
        }
        let end = run.start + run.len;
        if let Some(&len) = self.free.get(&end) {
            self.remove_free(Run { start: end, len });
            merged.len += len;
        }
        self.add_free(merged);
    }

    fn add_free(&mut self, run: Run) {
        if run.len > 0 {
            self.free.insert(run.start, run.len);
            self.by_len.insert((run.len, run.start));
        }
    }

    fn remove_free(&mut self, run: Run) {
        self.free.remove(&run.start);
        self.by_len.remove(&(run.len, run.start));
    }
}
