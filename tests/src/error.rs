use std::path::PathBuf;

/// Why the harness could not do what a test asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A command could not be started, or failed.
    #[error("'{command}' failed: {why}")]
    Command {
        /// The command as typed.
        command: String,
        /// Exit status and standard error, or why it did not start.
        why: String,
    },
    /// A file or directory of the lab.
    #[error("{what} {path}: {source}", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The agent ended, or was not ready in time.
    #[error("the agent of node '{node}' {why}; the end of its log:\n{log}")]
    Agent {
        /// The node.
        node: String,
        /// What happened.
        why: String,
        /// The last lines that it logged.
        log: String,
    },
    /// A CNI plugin answered with an error object (CNI spec, section 5 "Error").
    #[error("CNI {command} of '{plugin}' failed with code {code}: {message}")]
    Cni {
        /// ADD, DEL, …
        command: String,
        /// The plugin's type.
        plugin: String,
        /// The error code as specified.
        code: i64,
        /// `msg` and `details`.
        message: String,
    },
    /// Something the harness needs is not there.
    #[error("{0}")]
    Missing(String),
}

impl LabError {
    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Self::File { what, path: path.into(), source }
    }
}
