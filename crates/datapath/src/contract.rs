//! The Rust side of `bpf/contract.h`: the same names, sizes and offsets, held to it by a test that
//! reads the compiled object's BTF. Ports are in network order, as in the maps.

use fairlead_model::Addr;

/// A struct's name, its size, and (name, offset, size) of each field.
pub type Layout = (&'static str, usize, &'static [(&'static str, usize, usize)]);

/// Says that a struct has the layout of its C twin and may be copied as bytes.
macro_rules! contract {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }

        // SAFETY: repr(C), plain integers and arrays of them; padding is spelled out as fields, which
        // the contract test holds: every byte belongs to a field.
        unsafe impl aya::Pod for $name {}

        impl Default for $name {
            fn default() -> Self {
                // SAFETY: every field is an integer or an array of integers, for which zero is valid.
                unsafe { std::mem::zeroed() }
            }
        }

        impl $name {
            /// Name, size and (field, offset, size) of each field, for the contract test.
            pub const LAYOUT: Layout = (
                stringify!($name),
                std::mem::size_of::<$name>(),
                &[$((stringify!($field), std::mem::offset_of!($name, $field), {
                    const fn size<S, F>(_: fn(&S) -> &F) -> usize { std::mem::size_of::<F>() }
                    size(|s: &$name| &s.$field)
                }),)*],
            );
        }
    };
}

/// An address as the maps have it.
pub type RawAddr = [u8; 16];

contract! {
    /// `struct fl_tuple`
    pub struct Tuple {
        pub saddr: RawAddr,
        pub daddr: RawAddr,
        pub sport: u16,
        pub dport: u16,
        pub proto: u8,
        pub pad: [u8; 3],
    }
}

contract! {
    /// `struct fl_endpoint`
    pub struct Endpoint {
        pub ifindex: u32,
        pub pod: u32,
        pub pod_mac: [u8; 6],
        pub host_mac: [u8; 6],
        pub translated: u32,
    }
}

contract! {
    /// `struct fl_node_key`
    pub struct NodeKey {
        pub prefix_len: u32,
        pub addr: RawAddr,
    }
}

contract! {
    /// `struct fl_node`
    pub struct Node {
        pub next_hop: RawAddr,
        pub ifindex: u32,
        pub way: u8,
        pub pad: [u8; 3],
    }
}

contract! {
    /// `struct fl_uplink`
    pub struct Uplink {
        pub v4: RawAddr,
        pub v6: RawAddr,
    }
}

contract! {
    /// `struct fl_frontend_key`
    pub struct FrontendKey {
        pub addr: RawAddr,
        pub port: u16,
        pub proto: u8,
        pub pad: u8,
    }
}

contract! {
    /// `struct fl_frontend`
    pub struct Frontend {
        pub run: u64,
        pub service: u32,
        pub pad: u32,
    }
}

contract! {
    /// `struct fl_slot`
    pub struct Slot {
        pub backend: u32,
        pub service: u32,
    }
}

contract! {
    /// `struct fl_backend`
    pub struct Backend {
        pub addr: RawAddr,
        pub port: u16,
        pub proto: u8,
        pub pad: u8,
        pub generation: u32,
    }
}

contract! {
    /// `struct fl_nat`
    pub struct Nat {
        pub to: Tuple,
        pub seen: u32,
        pub flags: u32,
        pub service: u32,
        pub backend: u32,
        pub generation: u32,
    }
}

contract! {
    /// `struct fl_frag_key`
    pub struct FragKey {
        pub saddr: RawAddr,
        pub daddr: RawAddr,
        pub id: u32,
        pub proto: u8,
        pub pad: [u8; 3],
    }
}

contract! {
    /// `struct fl_frag`
    pub struct Frag {
        pub sport: u16,
        pub dport: u16,
    }
}

contract! {
    /// `struct fl_sock_peer`
    pub struct SockPeer {
        pub service_addr: RawAddr,
        pub backend_addr: RawAddr,
        pub service_port: u16,
        pub backend_port: u16,
    }
}

contract! {
    /// `struct fl_sock_dgram`
    pub struct SockDgram {
        pub service_addr: RawAddr,
        pub backend_addr: RawAddr,
        pub service_port: u16,
        pub backend_port: u16,
        pub backend: u32,
        pub generation: u32,
    }
}

contract! {
    /// `struct fl_sock_dgrams`
    pub struct SockDgrams {
        pub next: u32,
        pub entries: [SockDgram; 16],
    }
}

contract! {
    /// `struct fl_config`
    pub struct Config {
        pub flags: u32,
        pub vxlan_ifindex: u32,
        pub nat_port_min: u16,
        pub nat_port_max: u16,
        pub pad: u32,
    }
}

contract! {
    /// `struct fl_counter`
    pub struct Counter {
        pub packets: u64,
        pub bytes: u64,
    }
}

contract! {
    /// `struct fl_event`
    pub struct Event {
        pub time: u64,
        pub tuple: Tuple,
        pub to: RawAddr,
        pub to_port: u16,
        pub kind: u8,
        pub hook: u8,
        pub reason: u8,
        pub pad: [u8; 3],
        pub ifindex: u32,
        pub length: u32,
    }
}

contract! {
    /// `struct fl_verdict`
    pub struct Verdict {
        pub next_hop: RawAddr,
        pub ifindex: u32,
        pub action: u8,
        pub reason: u8,
        pub pad: [u8; 2],
    }
}

/// C name and layout of every struct of the contract.
pub const LAYOUTS: &[(&str, Layout)] = &[
    ("fl_tuple", Tuple::LAYOUT),
    ("fl_endpoint", Endpoint::LAYOUT),
    ("fl_node_key", NodeKey::LAYOUT),
    ("fl_node", Node::LAYOUT),
    ("fl_uplink", Uplink::LAYOUT),
    ("fl_frontend_key", FrontendKey::LAYOUT),
    ("fl_frontend", Frontend::LAYOUT),
    ("fl_slot", Slot::LAYOUT),
    ("fl_backend", Backend::LAYOUT),
    ("fl_nat", Nat::LAYOUT),
    ("fl_frag_key", FragKey::LAYOUT),
    ("fl_frag", Frag::LAYOUT),
    ("fl_sock_peer", SockPeer::LAYOUT),
    ("fl_sock_dgram", SockDgram::LAYOUT),
    ("fl_sock_dgrams", SockDgrams::LAYOUT),
    ("fl_config", Config::LAYOUT),
    ("fl_counter", Counter::LAYOUT),
    ("fl_event", Event::LAYOUT),
    ("fl_verdict", Verdict::LAYOUT),
];

/// `FL_CONFIG_EVENTS_NEW`
pub const CONFIG_EVENTS_NEW: u32 = 0x01;
/// `FL_CONFIG_RECORD`
pub const CONFIG_RECORD: u32 = 0x02;

/// `FL_NAT_CLOSING`
pub const NAT_CLOSING: u32 = 0x02;

/// `enum fl_way`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Way {
    /// This node.
    Local = 0,
    /// On a shared link.
    Direct = 1,
    /// Through the tunnel.
    Vxlan = 2,
    /// In the cluster, routed by the kernel.
    Kernel = 3,
}

/// `FL_DROP_REASONS`: name and what people read, by number.
pub const DROP_REASONS: &[(&str, &str)] = &[
    ("NONE", "not dropped"),
    ("MALFORMED", "malformed packet: headers do not fit its length"),
    ("UNSUPPORTED_ETHERTYPE", "neither IPv4, IPv6 nor ARP, or with a VLAN tag"),
    ("SOURCE_ADDRESS", "source address is not the pod's own"),
    ("NO_BACKEND", "the Service has no ready endpoint"),
    ("BACKEND_RACE", "backends changed twice while one was chosen"),
    ("NAT_EXHAUSTED", "no source port is free for a translated flow to this destination"),
    ("NAT_MAP", "a translation could not be stored"),
    ("FRAGMENT_ORDER", "a later fragment came before the first, which has the ports"),
    ("REWRITE", "the packet could not be rewritten"),
    ("TUNNEL", "the tunnel's address could not be set or read"),
    ("EXTENSION_HEADERS", "too many IPv6 extension headers"),
    ("NAT_STALE", "the connection was masqueraded by an address that the node no longer leaves by"),
];

/// `enum fl_hook`, by number.
pub const HOOKS: &[&str] =
    &["from-pod", "to-pod", "from-wire", "to-wire", "from-overlay", "to-overlay", "socket"];

/// `enum fl_forward`, by number.
pub const FORWARDS: &[&str] = &[
    "pod",
    "direct",
    "vxlan",
    "kernel",
    "masquerade",
    "service-packet",
    "service-socket",
    "outside",
];

impl NodeKey {
    /// The key of a network; IPv4 prefixes count their 96 mapped bits.
    pub fn new(net: ipnet::IpNet) -> Self {
        let mapped = if net.addr().is_ipv4() { 96 } else { 0 };
        NodeKey {
            prefix_len: u32::from(net.prefix_len()) + mapped,
            addr: Addr::from(net.network()).0,
        }
    }
}
