//! What a lab is made from.

/// The families that nodes and pods have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    #[default]
    V4,
    /// Both, IPv4 first.
    Dual,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether nodes and pods have IPv4 addresses.
    pub fn v4(self) -> bool {
        self != Self::V6
    }

    /// Whether nodes and pods have IPv6 addresses.
    pub fn v6(self) -> bool {
        self != Self::V4
    }
}

/// What lies between the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underlay {
    /// One switch: nodes are neighbours.
    #[default]
    SharedL2,
    /// A subnet each, with a router between that knows no pod: only a tunnel reaches pods.
    Routed,
}

/// The agent's `routing` key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// The agent chooses for each pair of nodes.
    #[default]
    Auto,
    /// Directly to the neighbour.
    Direct,
    /// Through the tunnel, always.
    Vxlan,
}

impl Routing {
    /// As the configuration file says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Vxlan => "vxlan",
        }
    }
}

/// What a lab consists of.
#[derive(Clone, Debug)]
pub struct LabSpec {
    /// How many nodes: n1 and on, at most 99.
    pub nodes: usize,
    /// Their families.
    pub family: Family,
    /// MTU of the nodes' uplinks.
    pub uplink_mtu: u32,
    /// What lies between them.
    pub underlay: Underlay,
    /// How agents are told to route.
    pub routing: Routing,
}

impl Default for LabSpec {
    fn default() -> Self {
        Self {
            nodes: 1,
            family: Family::default(),
            uplink_mtu: 1500,
            underlay: Underlay::default(),
            routing: Routing::default(),
        }
    }
}
