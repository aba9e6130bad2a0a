//! Logs: structured, one line each, on standard error.

use tracing_subscriber::EnvFilter;

/// Begins to log at the level that the configuration names. Libraries only warn.
pub fn start(level: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(format!("warn,fairlead={level},{}", ours(level))).map_err(|e| {
            anyhow::anyhow!("log: '{level}' is none of error, warn, info, debug, trace: {e}")
        })?;
    let timed = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    timed.with_ansi(false).with_writer(std::io::stderr).init();
    Ok(())
}

fn ours(level: &str) -> String {
    let crates =
        ["agent", "api", "cni", "controller", "datapath", "dns", "link", "observe", "services"];
    crates.map(|name| format!("fairlead_{name}={level}")).join(",")
}
