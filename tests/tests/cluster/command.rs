//! Commands with a deadline, and what they said.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Said {
    /// -1 when a signal ended it; 124 when the deadline did.
    pub code: i32,
    pub out: String,
    pub err: String,
    line: String,
}

impl Said {
    pub fn of(output: Output, line: String) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, out: text(output.stdout), err: text(output.stderr), line }
    }

    pub fn ok(&self) -> bool {
        self.code == 0
    }

    /// Standard output; panics when the command failed.
    #[track_caller]
    pub fn must(self) -> String {
        assert!(self.ok(), "{}", self.whole());
        self.out
    }

    /// The last line of standard output as JSON; panics when it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", self.whole()))
    }

    pub fn whole(&self) -> String {
        format!("$ {}\nexit {}\n{}\n{}", self.line, self.code, self.out, self.err)
    }
}

/// A command line under `timeout`, split at spaces.
pub fn line(text: &str, deadline: Duration) -> Command {
    words(&text.split_whitespace().collect::<Vec<_>>(), deadline)
}

/// A command under `timeout`.
pub fn words(words: &[&str], deadline: Duration) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &deadline.as_secs().to_string()]).args(words);
    command
}

pub fn run(mut command: Command) -> Said {
    let line = typed(&command);
    let output = command.stdin(Stdio::null()).output();
    Said::of(output.unwrap_or_else(|e| panic!("{line}: {e}")), line)
}

pub fn typed(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Polls until `condition` answers with Ok; panics with its last answer after `deadline`.
#[track_caller]
pub fn within<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(why) => assert!(Instant::now() < end, "{what}: not within {deadline:?}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Ok when `holds`, else `why`.
pub fn holds(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
