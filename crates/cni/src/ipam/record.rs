//! What is known of one attachment, as it is in its file.

use serde::{Deserialize, Serialize};

use super::Addresses;
use crate::protocol::{Attachment, Pod, container_id_error, ifname_error};

/// What the agent says of an attachment when it asks for addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which container and interface.
    pub attachment: Attachment,
    /// The pod.
    pub pod: Pod,
    /// The name of the host's side of its link.
    pub host_link: String,
    /// The MTU of the pod's side, in bytes.
    pub mtu: u32,
}

/// An attachment and the addresses that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which container and interface.
    #[serde(flatten)]
    pub attachment: Attachment,
    /// The pod.
    pub pod: Pod,
    /// Its addresses.
    pub addresses: Addresses,
    /// The name of the host's side of its link.
    pub host_link: String,
    /// The MTU of the pod's side, in bytes.
    pub mtu: u32,
    /// Counts attachments of this node; the highest one's addresses were given last.
    pub sequence: u64,
}

/// Why an attachment can't be a file's name, if it can't.
pub(super) fn name_error(attachment: &Attachment) -> Option<String> {
    container_id_error(&attachment.container_id).or_else(|| ifname_error(&attachment.ifname))
}

/// The name of an attachment's file. No container id has an `@`, so no two attachments share one.
pub(super) fn file_name(attachment: &Attachment) -> String {
    format!("{}@{}.json", attachment.container_id, attachment.ifname)
}
