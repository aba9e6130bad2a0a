//! A start that is refused leaves the node as it was.

use std::fs;

use fairlead_datapath::{Datapath, unmount_bpffs};
use tracing::warn;

use crate::config::Config;
use crate::{Error, store};

/// What a start finds, so that it takes back what it has made, and nothing else.
pub struct Undo<'c> {
    config: &'c Config,
    had_run_dir: bool,
    had_pods: bool,
    had_pins: bool,
    /// The start mounted the bpffs.
    pub mounted: bool,
}

impl<'c> Undo<'c> {
    /// To be called before anything is made.
    pub fn before(config: &'c Config) -> Self {
        Undo {
            config,
            had_run_dir: config.run_dir.exists(),
            had_pods: config.records().exists(),
            had_pins: Datapath::is_pinned(&config.bpffs),
            mounted: false,
        }
    }

    /// Removes the run directory, where it was made and holds nothing.
    pub fn run_dir(&self) {
        if !self.had_run_dir {
            let _ = fs::remove_dir(&self.config.run_dir);
        }
    }

    /// Removes what was made. Pins of an earlier agent stay: they forward.
    pub fn all(&self) {
        let mut failed = Vec::new();
        if !self.had_pins && Datapath::is_pinned(&self.config.bpffs) {
            failed.extend(Datapath::remove(&self.config.bpffs).err().map(Error::from));
        }
        if self.mounted {
            failed.extend(unmount_bpffs(&self.config.bpffs).err().map(Error::from));
        }
        for socket in [self.config.cni_socket(), self.config.agent_socket()] {
            failed.extend(store::remove(&socket).map_err(Error::file(&socket)).err());
        }
        if !self.had_pods {
            let _ = fs::remove_dir(self.config.records());
        }
        self.run_dir();
        for e in failed {
            warn!("left behind: {e}");
        }
    }
}
