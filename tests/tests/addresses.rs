//! Nodes change: an address, a second network.

mod checks;

use std::net::IpAddr;
use std::time::Duration;

use fairlead_tests::{Family, Host, Lab, LabSpec, Shared, eventually, objects};

static LAB: Shared = Shared::new(|| {
    Lab::with_agents(LabSpec { nodes: 2, family: Family::V4, ..LabSpec::default() })
});

fn way_to(lab: &Lab, number: usize, other: &str) -> Option<(String, String)> {
    let status = lab.node(number).status();
    let nodes = status["nodes"].as_array()?;
    let node = nodes.iter().find(|n| n["name"] == other)?;
    Some((node["way"].as_str()?.to_owned(), node["address"].as_str()?.to_owned()))
}

#[test]
fn a_node_whose_address_changes_is_followed_by_its_peers_and_masquerades_with_the_new_one() {
    let Some(lab) = LAB.enter() else { return };
    let (near, far) = (lab.node(1), lab.node(2));
    let client = near.add_pod("follows").unwrap();
    let server = far.add_pod("moves").unwrap();
    checks::reaches(&client, &client.addresses(), &server);
    let (old, new): (IpAddr, IpAddr) = (far.addresses()[0], "172.31.0.102".parse().unwrap());
    let default = far.exec(&["ip", "route", "show", "default"]).stdout;
    assert!(far.exec(&["ip", "address", "del", &format!("{old}/24"), "dev", "eth0"]).ok());
    assert!(far.exec(&["ip", "address", "add", &format!("{new}/24"), "dev", "eth0"]).ok());
    let words: Vec<&str> =
        ["ip", "route", "replace"].into_iter().chain(default.split_whitespace()).collect();
    assert!(far.exec(&words).ok(), "{default}");
    lab.apply(objects::node(far.name(), &[new], &far.pod_cidrs()));
    let follows = || way_to(&lab, 1, far.name()) == Some(("direct".into(), new.to_string()));
    assert!(eventually(Duration::from_secs(10), follows), "{}", near.status());
    checks::reaches(&client, &client.addresses(), &server);
    let _serving = lab.outside().start("echo-server [::]:7272 outside");
    let target = std::net::SocketAddr::new(lab.outside_addresses()[0], 7272);
    let masqueraded = || {
        let answer = server.traffic(&format!("tcp-connects {target} 1 --timeout-ms 500"));
        answer["sources"].get(new.to_string()).is_some()
    };
    assert!(eventually(Duration::from_secs(10), masqueraded), "{}", far.status());
}

#[test]
fn pods_leave_by_a_second_network_with_that_networks_address() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("two-ways-out").unwrap();
    let outside = lab.outside();
    // both hosts get a second network on the same link
    let add = |host: &dyn Fn(&[&str]) -> bool, address: &str| {
        assert!(host(&["ip", "link", "add", "name", "second", "link", "eth0", "type", "macvlan"]));
        assert!(host(&["ip", "address", "add", address, "dev", "second"]));
        assert!(host(&["ip", "link", "set", "second", "up"]));
    };
    add(&|words| lab.node(1).exec(words).ok(), "172.29.9.1/24");
    add(&|words| outside.exec(words).ok(), "172.29.9.2/24");
    // a device that only some destinations use is named: nothing tells it from a bridge for containers
    let mut config = lab.node(1).config().unwrap();
    config["devices"] = serde_json::json!(["eth0", "second"]);
    lab.node(1).stop_agent();
    lab.node(1).start_agent_with(&config).unwrap();
    let _serving = outside.start("echo-server [::]:7373 outside");
    let masqueraded = || {
        let answer = pod.traffic("tcp-connects 172.29.9.2:7373 1 --timeout-ms 500");
        answer["sources"].get("172.29.9.1").is_some()
    };
    assert!(eventually(Duration::from_secs(10), masqueraded), "{}", lab.node(1).status());
}
