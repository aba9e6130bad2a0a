//! The versions of the CNI specification, and what each allows.

use crate::protocol::{Command, Failure, code};

/// A version of the specification, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1.0: results are `ip4` and `ip6`.
    V0_1_0,
    /// 0.2.0: adds VERSION.
    V0_2_0,
    /// 0.3.0: results are lists, interfaces among them.
    V0_3_0,
    /// 0.3.1: configuration lists.
    V0_3_1,
    /// 0.4.0: adds CHECK.
    V0_4_0,
    /// 1.0.0: addresses no longer name their family.
    V1_0_0,
    /// 1.1.0: adds GC and STATUS.
    V1_1_0,
}

/// Every version that the plugin speaks.
pub const SUPPORTED: [Version; 7] = [
    Version::V0_1_0,
    Version::V0_2_0,
    Version::V0_3_0,
    Version::V0_3_1,
    Version::V0_4_0,
    Version::V1_0_0,
    Version::V1_1_0,
];

impl Version {
    /// What errors are said in before the caller's version is known.
    pub const NEWEST: Version = Version::V1_1_0;

    /// As in `cniVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V0_1_0 => "0.1.0",
            Version::V0_2_0 => "0.2.0",
            Version::V0_3_0 => "0.3.0",
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// None for a version that isn't spoken here. A configuration without one is of 0.1.0, as
    /// libcni has it.
    pub fn parse(text: &str) -> Option<Version> {
        if text.is_empty() {
            return Some(Version::V0_1_0);
        }
        SUPPORTED.into_iter().find(|version| version.as_str() == text)
    }

    /// Commands that came later than this version are errors, as in the reference plugins.
    pub(crate) fn allows(self, command: Command) -> Result<(), Failure> {
        let (name, since) = match command {
            Command::Add | Command::Del => return Ok(()),
            Command::Check => ("CHECK", Version::V0_4_0),
            Command::Gc => ("GC", Version::V1_1_0),
            Command::Status => ("STATUS", Version::V1_1_0),
        };
        if self >= since {
            return Ok(());
        }
        let msg = format!("cniVersion {} does not allow {name}", self.as_str());
        Err(Failure::new(code::INCOMPATIBLE_VERSION, msg)
            .details(format!("{name} needs cniVersion {} or newer", since.as_str())))
    }
}
