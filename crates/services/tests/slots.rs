//! The allocator against a plain array that says of each entry who has it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use fairlead_services::{Run, Slots};
use proptest::prelude::*;

const CAPACITY: usize = 64;
const REST: u64 = 10;

#[derive(Clone, Debug)]
enum Step {
    Allocate(u32),
    Free(prop::sample::Index),
    FreeWrong(Run),
    Occupy(Run),
    Wait(u64),
}

fn run() -> impl Strategy<Value = Run> {
    (0..80u32, 0..12u32).prop_map(|(start, len)| Run { start, len })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20u32).prop_map(Step::Allocate),
        4 => any::<prop::sample::Index>().prop_map(Step::Free),
        1 => run().prop_map(Step::FreeWrong),
        1 => run().prop_map(Step::Occupy),
        3 => (0..8u64).prop_map(Step::Wait),
    ]
}

/// The oracle: for each entry whether it is in use, and since when it may be given again.
struct Entries {
    used: [bool; CAPACITY],
    rested_at: [u64; CAPACITY],
}

impl Entries {
    fn is_free(&self, at: usize, now: u64) -> bool {
        !self.used[at] && self.rested_at[at] <= now
    }

    fn longest_hole(&self, now: u64) -> usize {
        let (mut longest, mut length) = (0, 0);
        for at in 0..CAPACITY {
            length = if self.is_free(at, now) { length + 1 } else { 0 };
            longest = longest.max(length);
        }
        longest
    }

    fn set(&mut self, run: Run, used: bool) {
        self.used[run.start as usize..(run.start + run.len) as usize].fill(used);
    }
}

proptest! {
    #[test]
    fn runs_do_not_overlap_nor_leak_and_rest_before_reuse(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut slots = Slots::new(CAPACITY as u32, REST);
        let mut entries = Entries { used: [false; CAPACITY], rested_at: [0; CAPACITY] };
        let mut given: Vec<Run> = Vec::new();
        let mut now = 0;
        // Occupying is for a fresh start: what rests is never woken by it, only by `allocate`.
        let mut woken = 0;
        for step in steps {
            match step {
                Step::Wait(ms) => now += ms,
                Step::Allocate(0) => prop_assert_eq!(slots.allocate(0, now), Some(Run::EMPTY)),
                Step::Allocate(len) => {
                    woken = now;
                    let fits = entries.longest_hole(now) >= len as usize;
                    let got = slots.allocate(len, now);
                    prop_assert_eq!(got.is_some(), fits, "{} at {}", len, now);
                    let Some(run) = got else { continue };
                    prop_assert_eq!(run.len, len);
                    for at in run.start..run.start + run.len {
                        prop_assert!(entries.is_free(at as usize, now), "entry {} is not free", at);
                    }
                    entries.set(run, true);
                    given.push(run);
                }
                Step::Free(index) if !given.is_empty() => {
                    let run = given.swap_remove(index.index(given.len()));
                    prop_assert!(slots.free(run, now));
                    entries.set(run, false);
                    let range = run.start as usize..(run.start + run.len) as usize;
                    entries.rested_at[range].fill(now + REST);
                }
                Step::Free(_) => {}
                Step::FreeWrong(run) => {
                    if run.len > 0 && !given.contains(&run) {
                        prop_assert!(!slots.free(run, now), "{:?} was not given", run);
                    }
                }
                Step::Occupy(run) => {
                    let fits = (run.start..run.start + run.len)
                        .all(|at| (at as usize) < CAPACITY && entries.is_free(at as usize, woken));
                    prop_assert_eq!(slots.occupy(run), fits, "{:?}", run);
                    if fits && run.len > 0 {
                        entries.set(run, true);
                        given.push(run);
                    }
                }
            }
            let used = entries.used.iter().filter(|used| **used).count();
            prop_assert_eq!(slots.in_use() as usize, used);
        }
        for run in given {
            prop_assert!(slots.free(run, now));
        }
        prop_assert_eq!(slots.largest_free(now + REST) as usize, CAPACITY, "all in one piece again");
    }
}

#[test]
fn what_a_restarted_agent_occupies_is_not_given_to_others() {
    let mut slots = Slots::new(10, REST);
    assert!(slots.occupy(Run { start: 2, len: 3 }));
    assert!(!slots.occupy(Run { start: 4, len: 1 }));
    assert!(!slots.occupy(Run { start: 9, len: 2 }));
    assert!(!slots.occupy(Run { start: u32::MAX, len: u32::MAX }));
    assert_eq!(slots.allocate(5, 0), Some(Run { start: 5, len: 5 }));
    assert_eq!(slots.allocate(2, 0), Some(Run { start: 0, len: 2 }));
    assert_eq!(slots.allocate(1, 0), None);
}

#[test]
fn a_clock_that_goes_back_shortens_no_rest() {
    let mut slots = Slots::new(2, REST);
    let (a, b) = (slots.allocate(1, 100).unwrap(), slots.allocate(1, 100).unwrap());
    assert!(slots.free(a, 100) && slots.free(b, 50));
    assert_eq!(slots.allocate(1, 109), None);
    assert_eq!(slots.allocate(2, 110), Some(Run { start: 0, len: 2 }));
}

#[test]
fn thirty_thousand_runs_are_allocated_and_replaced_in_no_time() {
    let begun = std::time::Instant::now();
    let mut slots = Slots::new(1 << 20, 1000);
    let mut now = 0;
    let mut runs: Vec<Run> =
        (0..30_000u32).map(|i| slots.allocate(1 + i % 17, now).unwrap()).collect();
    for round in 0..3u32 {
        for (i, run) in runs.iter_mut().enumerate() {
            now += 1;
            let old = std::mem::replace(
                run,
                slots.allocate(1 + (i as u32 * 7 + round) % 23, now).unwrap(),
            );
            assert!(slots.free(old, now));
        }
    }
    // 90,000 replacements take 0.2 s unoptimized; quadratic ones would take minutes.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
