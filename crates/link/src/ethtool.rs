//! Offloads of a device, by ethtool's generic netlink (Documentation/networking/ethtool-netlink).

use netlink_packet_core::{NLMSG_ERROR, NetlinkBuffer, NlasIterator};
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::pod::check_name;
use crate::{Error, Handle, Result};

/// What a device does by itself. Off anywhere on the way costs 2 to 5 times the throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// Cuts large TCP segments (tx-tcp-segmentation).
    pub tso: bool,
    /// Fills in checksums (tx-checksum-ip-generic, or -ipv4 and -ipv6).
    pub tx_checksum: bool,
    /// Merges received segments (rx-gro).
    pub gro: bool,
    /// Cuts large segments inside UDP tunnels (tx-udp_tnl-segmentation).
    pub udp_tunnel_segmentation: bool,
}

impl Handle {
    /// The offloads that are on.
    ///
    /// # Errors
    /// [`Error::NoDevice`], or the kernel has no ethtool netlink.
    pub async fn offloads(&self, name: &str) -> Result<Offloads> {
        check_name(name)?;
        let name = name.to_owned();
        self.run(move || offloads(&name)).await
    }
}

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const NLA_F_NESTED: u16 = 0x8000;
const NLM_F_REQUEST: u16 = 1;

fn offloads(name: &str) -> Result<Offloads> {
    let what = format!("read the offloads of {name}");
    let socket = netlink_sys::Socket::new(NETLINK_GENERIC).map_err(Error::io(what.as_str()))?;
    let ask = |family, command, attributes: &[u8]| {
        exchange(&socket, &request(family, command, attributes)).map_err(|errno| match errno {
            Errno::NODEV => Error::NoDevice(name.into()),
            _ => Error::system(what.as_str())(errno),
        })
    };
    let family_name = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
    let answer = ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &family_name)?;
    let id = find(&answer, CTRL_ATTR_FAMILY_ID).and_then(|id| id.first_chunk::<2>());
    let unclear = |why: &str| Error::Answer { what: what.clone(), why: why.into() };
    let id = u16::from_ne_bytes(*id.ok_or_else(|| unclear("no family id"))?);
    let device = attribute(ETHTOOL_A_HEADER_DEV_NAME, &[name.as_bytes(), b"\0"].concat());
    let header = attribute(ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED, &device);
    let answer = ask(id, ETHTOOL_MSG_FEATURES_GET, &header)?;
    let active = find(&answer, ETHTOOL_A_FEATURES_ACTIVE);
    let active = active.ok_or_else(|| unclear("no active features"))?;
    Ok(read(&names_of_bits(active)))
}

fn read(active: &[String]) -> Offloads {
    let on = |feature: &str| active.iter().any(|name| name == feature);
    Offloads {
        tso: on("tx-tcp-segmentation"),
        tx_checksum: on("tx-checksum-ip-generic")
            || (on("tx-checksum-ipv4") && on("tx-checksum-ipv6")),
        gro: on("rx-gro"),
        udp_tunnel_segmentation: on("tx-udp_tnl-segmentation"),
    }
}

/// The active features are a bit set without a mask: it lists the bits that are set.
fn names_of_bits(bitset: &[u8]) -> Vec<String> {
    let bits = find(bitset, ETHTOOL_A_BITSET_BITS).unwrap_or_default();
    NlasIterator::new(bits)
        .filter_map(std::result::Result::ok)
        .filter_map(|bit| {
            let name = find(bit.value(), ETHTOOL_A_BITSET_BIT_NAME)?.to_vec();
            String::from_utf8(name).ok().map(|name| name.trim_end_matches('\0').to_owned())
        })
        .collect()
}

fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    // By hand, as NlasIterator's values do not outlive its items.
    while let Some((head, _)) = rest.split_at_checked(4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([head[2], head[3]]) & !NLA_F_NESTED == kind {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("names of devices are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// struct nlmsghdr and struct genlmsghdr.
fn request(family: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + attributes.len()).expect("requests are short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&family.to_ne_bytes());
    bytes.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[command, 1, 0, 0]);
    bytes.extend_from_slice(attributes);
    bytes
}

/// The attributes of the answer.
fn exchange(socket: &netlink_sys::Socket, request: &[u8]) -> std::result::Result<Vec<u8>, Errno> {
    socket.send(request, 0).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let mut buffer = vec![0; 64 * 1024];
    let (size, _) =
        rustix::io::retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::empty()))?;
    let message = NetlinkBuffer::new_checked(&buffer[..size]).map_err(|_| Errno::BADMSG)?;
    let payload = message.payload();
    if message.message_type() == NLMSG_ERROR {
        let code = payload.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
        return Err(Errno::from_raw_os_error(-code));
    }
    payload.get(4..).map(<[u8]>::to_vec).ok_or(Errno::BADMSG)
}
