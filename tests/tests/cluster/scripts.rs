//! The scripts that start and stop clusters, and that they are stopped.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::command::{self, Said};

/// The folder of scripts, and where they keep what they run.
#[derive(Clone, Debug)]
pub struct Scripts {
    dir: PathBuf,
    /// Their data folder.
    data: PathBuf,
}

impl Scripts {
    /// As FAIRLEAD_CLUSTER says; none when it is not set.
    pub fn find() -> Option<Self> {
        let dir = PathBuf::from(std::env::var_os("FAIRLEAD_CLUSTER")?);
        let common = dir.join("common.sh");
        assert!(
            Path::exists(&common),
            "FAIRLEAD_CLUSTER={}: no common.sh is there; it names the folder of scripts that start \
             a cluster",
            dir.display()
        );
        let script = format!(". {} && echo $PEERS", common.display());
        let data = command::words(&["bash", "-c", &script], Duration::from_secs(10));
        let data = PathBuf::from(command::run(data).must());
        assert!(
            data.join("bin/kubelet").exists(),
            "{} has no bin/kubelet: run {}/build-all.sh first",
            data.display(),
            dir.display()
        );
        Some(Self { dir, data })
    }

    pub fn path(&self, script: &str) -> String {
        self.dir.join(script).display().to_string()
    }

    /// A path below their data folder.
    pub fn data(&self, path: &str) -> PathBuf {
        self.data.join(path)
    }

    /// A script with its arguments, split at spaces, and environment.
    pub fn run(&self, line: &str, environment: &[(&str, &str)], deadline: Duration) -> Said {
        let mut command = command::line(&format!("{}/{line}", self.dir.display()), deadline);
        command.envs(environment.iter().copied());
        command::run(command)
    }

    /// Panics when a cluster runs: it may be somebody's.
    pub fn check_nothing_runs(&self) {
        let entries = |dir: &str| std::fs::read_dir(self.data(dir)).map_or(0, Iterator::count);
        assert!(
            entries("run/pid") + entries("run/nodes") == 0,
            "a cluster runs already, or was left behind: {} removes it",
            self.path("down.sh")
        );
    }
}

/// Takes the cluster down when dropped, and when this process ends in any other way: a process of
/// its own waits for the end of its standard input, which only this process holds open.
pub struct TakeDown(Child);

impl TakeDown {
    pub fn at_the_end(scripts: &Scripts) -> Self {
        let script = format!("cat; exec {}", scripts.path("down.sh"));
        let mut command = Command::new("bash");
        command.args(["-c", &script]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("bash starts"))
    }
}

impl Drop for TakeDown {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(e) = self.0.wait() {
            eprintln!("down.sh: {e}");
        }
    }
}
