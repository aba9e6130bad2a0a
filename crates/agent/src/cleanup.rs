//! Everything of Fairlead leaves the node. Idempotent; goes on after a failure and tells all of them.

use std::path::Path;

use fairlead_cni::conf;
use fairlead_datapath::Datapath;
use fairlead_link::Handle;

use crate::config::Config;
use crate::ways::TUNNEL;

/// Removes configuration, links, routes, addresses, programs and maps. Pods lose their network.
/// Answers what could not be removed.
pub async fn cleanup(config: &Config) -> Vec<String> {
    let mut failed = Vec::new();
    let mut note = |result: Result<(), String>| failed.extend(result.err());
    // first of all: no new pods
    note(conf::remove(&config.cni_conf_dir).map(drop).map_err(|e| e.to_string()));
    note(conf::uninstall(&config.cni_bin_dir).map(drop).map_err(|e| e.to_string()));
    match Handle::new() {
        Ok(link) => {
            note(link.sync_lo_addresses(&[]).await.map(drop).map_err(|e| e.to_string()));
            note(link.sync_routes(&[]).await.map(drop).map_err(|e| e.to_string()));
            for pod in link.pod_links().await.unwrap_or_default() {
                note(link.detach_pod(&pod.name).await.map_err(|e| e.to_string()));
            }
            note(link.remove_link(TUNNEL).await.map_err(|e| e.to_string()));
        }
        Err(e) => note(Err(e.to_string())),
    }
    note(Datapath::remove(&config.bpffs).map_err(|e| e.to_string()));
    note(empty(&config.run_dir).map_err(|e| format!("{}: {e}", config.run_dir.display())));
    failed
}

/// The directory itself may be a mount point, and stays.
fn empty(dir: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
