//! What can go wrong, in sentences for the person who runs the cluster.

use std::error::Error as _;

/// Why something about the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No candidate for the API server answered.
    #[error("no API server found; tried {}", list(.0))]
    NotFound(Vec<String>),
    /// A kubeconfig that was asked for cannot be used.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The API server refused or could not be reached.
    #[error("{what}: {why}")]
    Request {
        /// What was asked of it.
        what: String,
        /// Its answer, see [`explain`].
        why: String,
        /// The HTTP status code, where there was an answer.
        code: Option<u16>,
    },
}

impl Error {
    pub(crate) fn request(what: impl Into<String>, e: &kube::Error) -> Self {
        Error::Request { what: what.into(), why: explain(e), code: code(e) }
    }

    /// Whether the object was changed or made by somebody else in between (HTTP 409).
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Request { code: Some(409), .. })
    }

    /// Whether the server found the object not to be valid (HTTP 422).
    pub fn is_invalid(&self) -> bool {
        matches!(self, Error::Request { code: Some(422), .. })
    }
}

fn list(tried: &[String]) -> String {
    if tried.is_empty() {
        return "nothing, since nothing was configured: set apiServer in the ConfigMap fairlead"
            .into();
    }
    let numbered: Vec<_> =
        tried.iter().enumerate().map(|(i, t)| format!("({}) {t}", i + 1)).collect();
    format!("{}. Set apiServer in the ConfigMap fairlead to a URL that works", numbered.join("; "))
}

/// The HTTP status code of an answer that was an error.
pub(crate) fn code(e: &kube::Error) -> Option<u16> {
    match e {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// A client's error as one sentence: what the server said, or the innermost cause.
pub fn explain(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(status) => match status.code {
            401 => "the API server does not accept this service account's token (401)".into(),
            403 => format!("{}: apply the RBAC objects of deploy/fairlead.yaml", status.message),
            _ if status.message.is_empty() => format!("HTTP {}", status.code),
            _ => status.message.clone(),
        },
        _ => {
            let mut text = e.to_string();
            let mut cause = e.source();
            while let Some(inner) = cause {
                let inner_text = inner.to_string();
                if !text.contains(&inner_text) {
                    text = format!("{text}: {inner_text}");
                }
                cause = inner.source();
            }
            // The client's own types of error come first in the text and say nothing to a person.
            let text = text.trim_start_matches("ServiceError: ").trim_start_matches("HyperError: ");
            // rustls, where something answers in clear text
            text.replace(
                "received corrupt message of type InvalidContentType",
                "what answers there speaks no TLS",
            )
        }
    }
}
