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
    #[error(transparent)]
    Dns(#[from] fairlead_dns::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the agent needs root: run it as root, or as the DaemonSet of deploy/fairlead.yaml")]
    NotRoot,
    #[error("cannot serve metrics on {address}: {source}: choose another metricsAddress")]
    Metrics { address: std::net::SocketAddr, source: io::Error },
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
