//! Path MTU: computed where it is known, learnt where it changes.

mod checks;

use fairlead_tests::{Family, Host, Lab, LabSpec, Pod, Routing, missing, skip};

fn lab(uplink_mtu: u32, routing: Routing) -> Option<Lab> {
    let lacking = missing().or_else(|| fairlead_tests::agent_binary().err().map(|e| e.to_string()));
    if let Some(why) = lacking {
        skip(&why);
        return None;
    }
    let family = Family::Dual;
    let spec = LabSpec { nodes: 2, family, uplink_mtu, routing, ..LabSpec::default() };
    Some(Lab::with_agents(spec).unwrap_or_else(|e| panic!("{e}")))
}

fn mtu(pod: &Pod<'_>) -> u32 {
    let shown = pod.exec(&["ip", "-o", "link", "show", "eth0"]).stdout;
    let word = shown.split_whitespace().skip_while(|word| *word != "mtu").nth(1);
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no MTU in: {shown}"))
}

fn everything_passes(lab: &Lab, a: &Pod<'_>, b: &Pod<'_>) {
    checks::carries_everything(a, b);
    checks::carries_everything(b, a);
    let _serving = lab.outside().start("echo-server [::]:7070 outside");
    for address in lab.outside_addresses() {
        let target = std::net::SocketAddr::new(address, 7070);
        let answer = a.traffic(&format!("tcp-stream {target} 5000000"));
        assert_eq!(answer["bytes"], 5_000_000, "{answer}\n{}", lab.logs());
    }
}

#[test]
fn pods_have_the_mtu_of_a_small_uplink() {
    let Some(lab) = lab(1400, Routing::Direct) else { return };
    let (a, b) = (lab.node(1).add_pod("a").unwrap(), lab.node(2).add_pod("b").unwrap());
    assert_eq!((mtu(&a), mtu(&b)), (1400, 1400));
    everything_passes(&lab, &a, &b);
}

#[test]
fn pods_leave_room_for_the_tunnel() {
    let Some(lab) = lab(1400, Routing::Vxlan) else { return };
    let (a, b) = (lab.node(1).add_pod("a").unwrap(), lab.node(2).add_pod("b").unwrap());
    // 50 bytes over IPv4, 70 over IPv6 (RFC 7348, section 5).
    assert!((1330..=1350).contains(&mtu(&a)), "{}", mtu(&a));
    everything_passes(&lab, &a, &b);
}

#[test]
fn nothing_stalls_when_uplinks_shrink_below_the_mtu_of_pods_that_run() {
    for routing in [Routing::Direct, Routing::Vxlan] {
        let Some(lab) = lab(1500, routing) else { return };
        let (a, b) = (lab.node(1).add_pod("a").unwrap(), lab.node(2).add_pod("b").unwrap());
        // The outside too: on one switch nobody would tell it.
        for link in ["n1", "n2", "outside"] {
            lab.set_link_mtu(link, 1380).unwrap();
        }
        everything_passes(&lab, &a, &b);
    }
}
