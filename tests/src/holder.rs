//! A process that keeps namespaces alive.
//!
//! It reads its standard input, a pipe whose other end only this process has: when this process
//! ends, even by SIGKILL, the holder reads end-of-file, exits, and its namespaces vanish with it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::{LabError, Place};

#[derive(Debug)]
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts a holder in `place` after the shell script `setup` has run there.
    pub(crate) fn start(place: &Place, setup: &str) -> Result<Self, LabError> {
        let script = format!("set -e\n{setup}\necho held\nexec cat");
        let failed = |why: String| LabError::Command { command: setup.to_owned(), why };
        let mut child = place
            .command("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("its process did not start: {e}")))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout was piped above");
        let read = BufReader::new(stdout).read_line(&mut line);
        if read.is_ok() && line == "held\n" {
            return Ok(Self(child));
        }
        let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
        Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
