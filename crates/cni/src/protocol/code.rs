//! Error codes of the CNI specification (section 5, "Error").

/// Incompatible CNI version.
pub const INCOMPATIBLE_VERSION: u32 = 1;
/// Unsupported field in the network configuration.
pub const UNSUPPORTED_FIELD: u32 = 2;
/// Container unknown; the runtime need not clean up.
pub const UNKNOWN_CONTAINER: u32 = 3;
/// Invalid environment variables.
pub const INVALID_ENVIRONMENT: u32 = 4;
/// Input or output failed.
pub const IO: u32 = 5;
/// Something could not be decoded.
pub const DECODE: u32 = 6;
/// The network configuration is invalid.
pub const INVALID_CONFIG: u32 = 7;
/// Try again later.
pub const TRY_AGAIN: u32 = 11;
/// STATUS: no ADD can be served.
pub const NOT_AVAILABLE: u32 = 50;
/// STATUS: no ADD can be served, and existing containers may have limited connectivity.
pub const NOT_AVAILABLE_LIMITED: u32 = 51;
/// Ours (100 and up are free for plugins): CHECK found the attachment not as it should be.
pub const CHECK_FAILED: u32 = 100;
