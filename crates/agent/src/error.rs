//! What keeps an agent from starting, in sentences for operators.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Datapath(#[from] fairlead_datapath::Error),
    #[error(transparent)]
    Link(#[from] fairlead_link::Error),
    #[error(transparent)]
    Cni(#[from] fairlead_cni::Error),
    #[error("Fairlead's agent is ending")]
    Ending,
    #[error(transparent)]
    Dns(#[from] fairlead_dns::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the run directory {path} cannot be made or written ({source}): mount one there that can, or set `runDir`"
    )]
    RunDir { path: PathBuf, source: io::Error },
    #[error("the agent needs root: run it as root, or as the DaemonSet of deploy/fairlead.yaml")]
    NotRoot,
    #[error(
        "the agent lacks {0}: run it privileged (securityContext.privileged), as deploy/fairlead.yaml does"
    )]
    Rights(&'static str),
    #[error(
        "cannot serve metrics on {address}: {source}: end what listens there, or set another `metricsAddress`"
    )]
    Metrics { address: std::net::SocketAddr, source: io::Error },
}

impl Error {
    /// A file of the run directory that cannot be written says less than the directory does.
    pub(crate) fn in_run_dir(dir: &std::path::Path, e: fairlead_cni::Error) -> Self {
        match e {
            fairlead_cni::Error::File { source, .. } => {
                Error::RunDir { path: dir.to_owned(), source }
            }
            e => e.into(),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
