//! One cluster at a time.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cluster::Cluster;
use crate::scripts::Scripts;
use crate::topology::Topology;

static ONE: Mutex<()> = Mutex::new(());

/// A test's turn to have a cluster.
pub struct Turn {
    topology: Topology,
    scripts: Scripts,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for it; none, after saying so, where there are no scripts or `topology` is not chosen.
    pub fn of(topology: &Topology) -> Option<Self> {
        if topology.extra && std::env::var_os("FAIRLEAD_CLUSTER_ALL").is_none() {
            say(&format!("SKIPPED: {topology}: FAIRLEAD_CLUSTER_ALL=1 runs it"));
            return None;
        }
        let Some(scripts) = Scripts::find() else {
            say(&format!(
                "SKIPPED: {topology}: FAIRLEAD_CLUSTER is not set, no real cluster is tested"
            ));
            return None;
        };
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Self { topology: topology.clone(), scripts, _turn: turn })
    }

    /// The cluster, without any network.
    pub fn start(&self) -> Cluster {
        say(&format!("==== {}", self.topology));
        Cluster::start(&self.scripts, &self.topology)
    }
}

/// Not eprintln: the test runner would swallow it for tests that pass.
pub fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
