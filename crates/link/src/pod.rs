//! A pod's link: what it is called, what it has, and the calls that make, check and remove it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use crate::handle::duplicate;
use crate::message::{Mac, delete_link};
use crate::wire::Socket;
use crate::{Error, Handle, Result, attach, netns};

/// The Ethernet address of the host's side of every pod's link (locally administered). The same
/// everywhere: each link has two ends only, and the pods' neighbour entry never goes stale.
pub const HOST_MAC: Mac = [0x0a, 0x66, 0x6c, 0x00, 0x00, 0x01];

/// What pods have as their IPv4 router: nobody's address, on no network (RFC 3927 range).
pub const POD_GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// What pods have as their IPv6 router.
pub const POD_GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

const HOST_PREFIX: &str = "fl";
const HOST_DIGITS: usize = 11;

/// The wish for a pod's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLinkSpec {
    /// The host's side, see [`host_link_name`].
    pub host_name: String,
    /// The interface's name inside the pod (CNI_IFNAME), for example "eth0".
    pub pod_name: String,
    /// The pod's addresses; it has exactly these.
    pub addresses: Vec<IpAddr>,
    /// Of both sides, in bytes.
    pub mtu: u32,
}

/// A pod's link as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodLink {
    /// The host's side.
    pub host_ifindex: u32,
    /// Ethernet address of the host's side: [`HOST_MAC`].
    pub host_mac: Mac,
    /// Ethernet address of the pod's side.
    pub pod_mac: Mac,
}

impl PodLinkSpec {
    /// Derived from the first address, so that a pod whose link is remade keeps it. The prefix
    /// 0a:58 is what CNI plugins use for addresses made of IPv4 ones.
    #[must_use]
    pub fn pod_mac(&self) -> Mac {
        let [a, b, c, d] = match self.addresses.first() {
            Some(IpAddr::V4(v4)) => v4.octets(),
            Some(IpAddr::V6(v6)) => (fnv1a([&v6.octets()[..]]) as u32).to_be_bytes(),
            None => (fnv1a([self.host_name.as_bytes()]) as u32).to_be_bytes(),
        };
        [0x0a, 0x58, a, b, c, d]
    }

    /// The routers of the families that the pod has addresses of.
    pub(crate) fn gateways(&self) -> Vec<IpAddr> {
        let mut gateways: Vec<IpAddr> = Vec::new();
        if self.addresses.iter().any(IpAddr::is_ipv4) {
            gateways.push(POD_GATEWAY_V4.into());
        }
        if self.has_ipv6() {
            gateways.push(POD_GATEWAY_V6.into());
        }
        gateways
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// Names become paths of sysctls: they must be names and nothing else.
    fn validate(&self) -> Result<()> {
        check_name(&self.host_name)?;
        check_name(&self.pod_name)
    }
}

impl Handle {
    /// Makes a pod's link, or finds it as wished. One that is there but differs is remade; when
    /// something fails, nothing of it stays.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when the pod has another interface of that name, else what failed.
    pub async fn attach_pod(&self, netns: BorrowedFd<'_>, spec: &PodLinkSpec) -> Result<PodLink> {
        spec.validate()?;
        self.refuse_own_namespace(netns)?;
        let (host, pod, spec) = (self.netns(), duplicate(netns)?, spec.clone());
        self.run(move || attach::attach(host.as_fd(), pod.as_fd(), &spec)).await
    }

    /// Compares a pod's link with the wish (CNI CHECK).
    ///
    /// # Errors
    /// [`Error::NotAsWanted`] names every difference.
    pub async fn check_pod(&self, netns: BorrowedFd<'_>, spec: &PodLinkSpec) -> Result<PodLink> {
        spec.validate()?;
        let (host, pod, spec) = (self.netns(), duplicate(netns)?, spec.clone());
        self.run(move || attach::check(host.as_fd(), pod.as_fd(), &spec)).await
    }

    /// Removes any link by its name. Gone already is done.
    ///
    /// # Errors
    /// When the link is there and cannot be removed.
    pub async fn remove_link(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let name = name.to_owned();
        self.run(move || delete_link(&mut Socket::open()?, &name).map(drop)).await
    }

    /// A pod's routes inside the node's own namespace would cut the node off.
    fn refuse_own_namespace(&self, netns: BorrowedFd<'_>) -> Result<()> {
        if netns::same(self.netns().as_fd(), netns)? {
            return Err(Error::HostNamespace);
        }
        Ok(())
    }
}

/// The name of the host's side: "fl" and 11 hexadecimal digits of a hash of both.
#[must_use]
pub fn host_link_name(container_id: &str, ifname: &str) -> String {
    let hash = fnv1a([container_id.as_bytes(), b"/", ifname.as_bytes()]);
    let digits = hash >> (64 - 4 * HOST_DIGITS);
    format!("{HOST_PREFIX}{digits:0HOST_DIGITS$x}")
}

/// Whether a link has a name as [`host_link_name`] makes them.
#[must_use]
pub fn is_host_link_name(name: &str) -> bool {
    name.strip_prefix(HOST_PREFIX).is_some_and(|digits| {
        digits.len() == HOST_DIGITS
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The kernel's rule (dev_valid_name in net/core/dev.c).
pub(crate) fn check_name(name: &str) -> Result<()> {
    let bad = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.bytes().any(bad) {
        return Err(Error::InvalidName(name.into()));
    }
    Ok(())
}

/// FNV-1a, 64 bits (draft-eastlake-fnv). Its values live in names on nodes: never change them.
fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_and_never_changes() {
        // Vectors of draft-eastlake-fnv.
        assert_eq!(fnv1a([&b""[..]]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a([&b"a"[..]]), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a([&b"foo"[..], b"bar"]), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn host_names_fit_the_kernel_and_are_recognised() {
        let one = host_link_name("0123456789abcdef", "eth0");
        assert_eq!(one.len(), 13);
        assert!(is_host_link_name(&one), "{one}");
        assert_ne!(one, host_link_name("0123456789abcdef", "eth1"));
        assert_ne!(host_link_name("ab", "c"), host_link_name("a", "bc"));
        for other in ["fl", "flannel.1", "fl0123456789", "fl0123456789AB", "eth0"] {
            assert!(!is_host_link_name(other), "{other}");
        }
    }

    #[test]
    fn names_that_would_leave_the_sysctl_directory_are_refused() {
        for name in ["", ".", "..", "../../x", "a b", "a:1", "a-name-of-16-byte"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("eth0.100").is_ok());
    }

    #[test]
    fn a_pods_mac_follows_from_its_first_address() {
        let spec = |addresses| PodLinkSpec {
            host_name: "fl0".into(),
            pod_name: "eth0".into(),
            addresses,
            mtu: 1500,
        };
        let v4 = spec(vec!["10.244.1.7".parse().expect("literal")]);
        assert_eq!(v4.pod_mac(), [0x0a, 0x58, 10, 244, 1, 7]);
        let v6 = spec(vec!["fd00::7".parse().expect("literal")]);
        assert_eq!(v6.pod_mac()[..2], [0x0a, 0x58]);
        assert_eq!(v6.pod_mac(), v6.clone().pod_mac());
    }
}
