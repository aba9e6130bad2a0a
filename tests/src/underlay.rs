//! The links below the cluster: a bridge or a router, and a cable to each node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::output::must;
use crate::{Family, LabError, LabSpec, Place, Underlay};

/// Runs in the switch's namespace as it begins.
pub(crate) const SWITCH_SETUP: &str = "ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
for f in arptables ip6tables iptables; do
    f=/proc/sys/net/bridge/bridge-nf-call-$f
    test ! -e $f || echo 0 > $f
done";

/// Addresses of one host's `eth0`, and its routers.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    /// Name of the switch's end.
    pub port: String,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    router_v4: Ipv4Addr,
    router_v6: Ipv6Addr,
}

impl Uplink {
    pub(crate) fn addresses(&self, family: Family) -> Vec<IpAddr> {
        let v4 = family.v4().then_some(IpAddr::V4(self.v4));
        v4.into_iter().chain(family.v6().then_some(IpAddr::V6(self.v6))).collect()
    }
}

/// The uplink of node `number`.
pub(crate) fn node_uplink(spec: &LabSpec, number: usize) -> Uplink {
    uplink(spec, format!("n{number}"), number as u8)
}

/// The uplink of the outside host.
pub(crate) fn outside_uplink(spec: &LabSpec) -> Uplink {
    uplink(spec, "outside".into(), 200)
}

/// 172.31.0.x and fd31::x on a shared switch, else 172.31.x.1 and fd31:0:0:x::1; routers are .254.
fn uplink(spec: &LabSpec, port: String, number: u8) -> Uplink {
    let (net, host) = match spec.underlay {
        Underlay::SharedL2 => (0, number),
        Underlay::Routed => (number, 1),
    };
    let v6 = |host: u8| Ipv6Addr::new(0xfd31, 0, 0, net.into(), 0, 0, 0, host.into());
    Uplink {
        port,
        v4: Ipv4Addr::new(172, 31, net, host),
        v6: v6(host),
        router_v4: Ipv4Addr::new(172, 31, net, 254),
        router_v6: v6(254),
    }
}

/// Makes the bridge; a routed underlay needs none.
pub(crate) fn build_switch(spec: &LabSpec, switch: u32) -> Result<(), LabError> {
    if spec.underlay == Underlay::Routed {
        return Ok(());
    }
    let router = outside_uplink(spec);
    let mut lines = vec![
        "link add br0 type bridge forward_delay 0 mcast_snooping 0".into(),
        format!("link set br0 mtu {} up", spec.uplink_mtu),
    ];
    lines.extend(addresses("br0", spec.family, router.router_v4, router.router_v6));
    ip_batch(&Place::here().in_net_of(switch)?, &lines)
}

/// Connects the namespace of process `host` to the switch with a link `eth0`.
pub(crate) fn plug(
    spec: &LabSpec,
    switch: u32,
    host: u32,
    uplink: &Uplink,
) -> Result<(), LabError> {
    let (port, mtu) = (&uplink.port, spec.uplink_mtu);
    let mut lines =
        vec![format!("link add {port} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {host}")];
    match spec.underlay {
        Underlay::SharedL2 => lines.push(format!("link set {port} master br0")),
        Underlay::Routed => {
            lines.extend(addresses(port, spec.family, uplink.router_v4, uplink.router_v6));
        }
    }
    lines.push(format!("link set {port} up"));
    ip_batch(&Place::here().in_net_of(switch)?, &lines)?;
    let host = Place::here().in_net_of(host)?;
    skip_dad(&host, "eth0")?;
    ip_batch(&host, &host_lines(spec, uplink))
}

/// Lets `link` use its addresses as soon as it is up, as those of a machine that has been up for
/// long: a tentative link-local address sends no neighbour solicitations for forwarded packets
/// (RFC 4862, section 5.4).
pub(crate) fn skip_dad(place: &Place, link: &str) -> Result<(), LabError> {
    let mut command = place.command("sh");
    command.args(["-c", "echo 0 > /proc/sys/net/ipv6/conf/$0/accept_dad", link]);
    must(command).map(drop)
}

fn host_lines(spec: &LabSpec, uplink: &Uplink) -> Vec<String> {
    let mut lines = vec!["link set lo up".into(), "link set eth0 up".into()];
    lines.extend(addresses("eth0", spec.family, uplink.v4, uplink.v6));
    if spec.family.v4() {
        lines.push(format!("route add default via {}", uplink.router_v4));
    }
    if spec.family.v6() {
        lines.push(format!("route add ::/0 via {} dev eth0", uplink.router_v6));
    }
    lines
}

fn addresses(link: &str, family: Family, v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<String> {
    let v4 = family.v4().then(|| format!("addr add {v4}/24 dev {link}"));
    let v6 = family.v6().then(|| format!("addr add {v6}/64 dev {link} nodad"));
    v4.into_iter().chain(v6).collect()
}

/// Runs lines of `ip` in `place`, in one process.
pub(crate) fn ip_batch(place: &Place, lines: &[String]) -> Result<(), LabError> {
    let mut command = place.command("sh");
    let script = "printf '%s\\n' \"$@\" | ip -batch -";
    command.args(["-c", script, "ip"]).args(lines);
    must(command).map(drop)
}

/// Changes the MTU of `link`.
pub(crate) fn set_mtu(place: &Place, link: &str, mtu: u32) -> Result<(), LabError> {
    ip_batch(place, &[format!("link set {link} mtu {mtu}")])
}

/// Pulls the cable of `port`.
pub(crate) fn unplug(switch: &Place, port: &str) -> Result<(), LabError> {
    ip_batch(switch, &[format!("link del {port}")])
}
