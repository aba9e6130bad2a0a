use std::process::{Command, Stdio};

use serde_json::Value;

use crate::LabError;

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.code == 0
    }

    /// The last line of standard output as JSON, or null.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or(Value::Null)
    }
}

/// Runs `command` to its end.
pub(crate) fn run(mut command: Command) -> Result<Output, LabError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| LabError::Command { command: typed(&command), why: e.to_string() })?;
    Ok(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `command`; a non-zero exit is an error.
pub(crate) fn must(command: Command) -> Result<Output, LabError> {
    let name = typed(&command);
    let output = run(command)?;
    if output.ok() {
        return Ok(output);
    }
    let why = format!("exit {}: {}{}", output.code, output.stderr, output.stdout);
    Err(LabError::Command { command: name, why })
}

fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
