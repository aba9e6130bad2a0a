//! Logs: structured, one line each, on standard error.

use tracing_subscriber::EnvFilter;

/// What the configuration can name.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Begins to log at the level that the configuration names. Libraries only warn; the client of the
/// API does so at every try, which we say once.
pub fn start(level: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(format!("warn,kube_client=off,fairlead={level},{}", ours(level)))?;
    let timed = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    timed.with_ansi(false).with_writer(std::io::stderr).init();
    Ok(())
}

fn ours(level: &str) -> String {
    let crates =
        ["agent", "api", "cni", "controller", "datapath", "dns", "link", "observe", "services"];
    crates.map(|name| format!("fairlead_{name}={level}")).join(",")
}
