//! The network configuration that the runtime writes to standard input.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::version::{SUPPORTED, Version};
use crate::protocol::{Attachment, Command, DEFAULT_SOCKET, DEFAULT_SPOOL, Failure, code, is_word};

/// What the plugin reads of its configuration. Keys that aren't here are passed over: runtimes
/// add their own (spec section 1, "Network configuration format").
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(default, rename = "cniVersion")]
    cni_version: String,
    #[serde(default)]
    name: String,
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    #[serde(default = "default_spool")]
    pub spool: PathBuf,
    #[serde(default)]
    ipam: Option<Value>,
    #[serde(default, rename = "prevResult")]
    prev_result: Option<Value>,
    #[serde(default, rename = "cni.dev/valid-attachments")]
    valid_attachments: Option<Vec<Attachment>>,
}

fn default_socket() -> PathBuf {
    DEFAULT_SOCKET.into()
}

fn default_spool() -> PathBuf {
    DEFAULT_SPOOL.into()
}

impl Config {
    /// Reads the configuration; `version` becomes the one it asks for.
    pub fn parse(input: &[u8], version: &mut Version) -> Result<Config, Failure> {
        let config: Config = serde_json::from_slice(input).map_err(|e| {
            Failure::new(code::DECODE, format!("cannot decode the network configuration: {e}"))
        })?;
        *version = Version::parse(&config.cni_version).ok_or_else(|| {
            let msg = format!("incompatible CNI version {:?}", config.cni_version);
            let supported = SUPPORTED.map(Version::as_str).join(", ");
            Failure::new(code::INCOMPATIBLE_VERSION, msg)
                .details(format!("fairlead-cni supports {supported}"))
        })?;
        Ok(config)
    }

    /// Whether the configuration is one that this plugin can do as it says.
    pub fn check(&self, command: Command) -> Result<(), Failure> {
        let invalid = |msg: String| Err(Failure::new(code::INVALID_CONFIG, msg));
        if self.name.is_empty() {
            return invalid("the network configuration has no \"name\"".into());
        }
        if !is_word(&self.name) {
            return invalid(format!(
                "the network's \"name\" {:?} must start with a letter or digit, and hold only \
                 letters, digits, '_', '.' and '-'",
                self.name
            ));
        }
        for (key, path) in [("socket", &self.socket), ("spool", &self.spool)] {
            if !path.is_absolute() {
                return invalid(format!("\"{key}\" {path:?} is not an absolute path"));
            }
        }
        if command == Command::Add {
            self.unsupported("ipam", &self.ipam, "addresses come from the node's pod CIDRs")?;
            let first = "fairlead-cni makes the pod's interface, so it comes first in \"plugins\"";
            self.unsupported("prevResult", &self.prev_result, first)?;
        }
        Ok(())
    }

    /// Code 2: "the error message must contain the key and value of the unsupported field".
    fn unsupported(&self, key: &str, value: &Option<Value>, why: &str) -> Result<(), Failure> {
        let Some(value) = value else { return Ok(()) };
        let msg = format!("unsupported field in the network configuration: \"{key}\": {value}");
        Err(Failure::new(code::UNSUPPORTED_FIELD, msg).details(why))
    }

    /// GC's list. One that is missing is an error, as it would mean "nothing is valid".
    pub fn valid_attachments(&self) -> Result<Vec<Attachment>, Failure> {
        self.valid_attachments.clone().ok_or_else(|| {
            Failure::new(code::INVALID_CONFIG, "GC without \"cni.dev/valid-attachments\"")
                .details("without the list every pod of the node would be detached")
        })
    }
}
