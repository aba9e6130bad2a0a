//! Scenarios one after another on one cluster; a failed one does not hide the next.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use crate::cluster::Cluster;
use crate::turn::say;

/// What failed so far; panics at the end when something did.
pub struct Report<'c> {
    cluster: &'c Cluster,
    only: Option<String>,
    failed: RefCell<Vec<String>>,
}

impl<'c> Report<'c> {
    pub fn on(cluster: &'c Cluster) -> Self {
        let only = std::env::var("FAIRLEAD_CLUSTER_ONLY").ok();
        Self { cluster, only, failed: RefCell::default() }
    }

    /// Runs one; its failure is remembered.
    pub fn scenario(&self, name: &str, run: impl FnOnce()) {
        if self.only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            let _ = self.run(name, run);
        }
    }

    /// Runs one without which the others make no sense.
    pub fn must(&self, name: &str, run: impl FnOnce()) {
        if let Err(panic) = self.run(name, run) {
            resume_unwind(panic);
        }
    }

    fn run(&self, name: &str, run: impl FnOnce()) -> std::thread::Result<()> {
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let word = if outcome.is_ok() { "ok  " } else { "FAIL" };
        say(&format!("{word}  {name} ({:.1} s)", begin.elapsed().as_secs_f64()));
        if outcome.is_err() {
            say(&self.cluster.diagnosis());
            self.failed.borrow_mut().push(name.to_owned());
        }
        outcome
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let failed = self.failed.borrow();
        if !failed.is_empty() && !std::thread::panicking() {
            panic!("{}: failed: {}", self.cluster.topology, failed.join("; "));
        }
    }
}
