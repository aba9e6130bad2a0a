//! Pods without any agent: a veth pair and the kernel's routing. The baseline of benchmarks, and
//! what the harness tests itself with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::underlay::{ip_batch, skip_dad};
use crate::{Host, LabError, Node, Place, Sandbox};

/// A pod whose packets the kernel routes.
#[derive(Debug)]
pub struct PlainPod {
    sandbox: Sandbox,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

/// Kernel routing on a node: forwarding, and routes to the other nodes' pods.
pub struct PlainRouting;

impl PlainRouting {
    /// Turns on forwarding and adds routes by the neighbours' addresses, on all of `nodes`.
    pub fn direct(nodes: &[Node]) -> Result<(), LabError> {
        for node in nodes {
            forwarding(node)?;
            let others = nodes.iter().filter(|other| other.name() != node.name());
            let lines: Vec<_> = others.flat_map(routes_to).collect();
            ip_batch(node.place(), &lines)?;
        }
        Ok(())
    }

    /// As [`PlainRouting::direct`], through a VXLAN device of the kernel's own.
    pub fn vxlan(nodes: &[Node]) -> Result<(), LabError> {
        for (number, node) in nodes.iter().enumerate() {
            forwarding(node)?;
            let own = node.addresses()[0];
            let mut lines = vec![
                format!(
                    "link add plain0 address {} type vxlan id 77 dstport 4790 local {own} nolearning",
                    mac(number)
                ),
                "link set plain0 up".into(),
            ];
            for (far, other) in nodes.iter().enumerate().filter(|(far, _)| *far != number) {
                let gateway = format!("169.254.77.{}", far + 1);
                lines.push(format!("neigh add {gateway} lladdr {} dev plain0", mac(far)));
                let cidr = &other.pod_cidrs()[0];
                lines.push(format!("route add {cidr} via {gateway} dev plain0 onlink"));
            }
            ip_batch(node.place(), &lines)?;
            for (far, other) in nodes.iter().enumerate().filter(|(far, _)| *far != number) {
                let remote = other.addresses()[0].to_string();
                sh(node, &format!("bridge fdb add {} dev plain0 dst {remote}", mac(far)))?;
            }
        }
        Ok(())
    }
}

fn mac(number: usize) -> String {
    format!("02:77:00:00:00:{:02x}", number + 1)
}

fn routes_to(other: &Node) -> Vec<String> {
    let by_family = |cidr: &String, via: &IpAddr| format!("route add {cidr} via {via}");
    other.pod_cidrs().iter().zip(&other.addresses()).map(|(c, a)| by_family(c, a)).collect()
}

fn forwarding(node: &Node) -> Result<(), LabError> {
    sh(
        node,
        "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    )
}

fn sh(host: &impl Host, script: &str) -> Result<(), LabError> {
    let mut command = host.place().command("sh");
    command.args(["-ec", script]);
    crate::output::must(command).map(drop)
}

fn node_side(link: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<String> {
    vec![
        format!("link set {link} up"),
        format!("addr add 169.254.1.1/32 dev {link} scope link"),
        format!("addr add fe80::1/64 dev {link} nodad"),
        format!("route add {v4}/32 dev {link}"),
        format!("route add {v6}/128 dev {link}"),
    ]
}

fn pod_side(v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<String> {
    vec![
        "link set lo up".into(),
        "link set eth0 up".into(),
        format!("addr add {v4}/32 dev eth0"),
        format!("addr add {v6}/128 dev eth0 nodad"),
        "route add 169.254.1.1/32 dev eth0 scope link".into(),
        "route add default via 169.254.1.1 dev eth0".into(),
        "route add ::/0 via fe80::1 dev eth0".into(),
    ]
}

impl PlainPod {
    /// A pod of `node` with the `number`-th address of its ranges (2..=254).
    pub fn add(node: &Node, number: u8, mtu: u32) -> Result<Self, LabError> {
        let sandbox = Sandbox::new(node)?;
        let index = node.number();
        let v4 = Ipv4Addr::new(10, 244, index, number);
        let v6 = Ipv6Addr::new(0xfd44, 0, 0, index.into(), 0, 0, 0, number.into());
        let link = format!("plain{number}");
        let (near, far) = (format!("{link} mtu {mtu}"), format!("eth0 mtu {mtu}"));
        let pair = format!("link add {near} type veth peer name {far} netns {}", sandbox.pid());
        ip_batch(node.place(), &[pair])?;
        skip_dad(node.place(), &link)?;
        skip_dad(sandbox.place(), "eth0")?;
        ip_batch(node.place(), &node_side(&link, v4, v6))?;
        ip_batch(sandbox.place(), &pod_side(v4, v6))?;
        Ok(Self { sandbox, v4, v6 })
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> IpAddr {
        self.v4.into()
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> IpAddr {
        self.v6.into()
    }
}

impl Host for PlainPod {
    fn place(&self) -> &Place {
        self.sandbox.place()
    }
}
