//! Names, answered on the client's own node at the kube-dns address.

use std::time::Duration;

use fairlead_tests::objects::{endpoint_slice, namespace, service, service_in};
use fairlead_tests::{Family, Host, Lab, LabSpec, Shared, eventually};

static LAB: Shared = Shared::new(|| {
    let lab = Lab::with_agents(LabSpec { nodes: 1, family: Family::Dual, ..LabSpec::default() })?;
    lab.apply(namespace("default"));
    lab.apply(namespace("kube-system"));
    let ports = [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)];
    lab.apply(service_in("kube-system", "kube-dns", &[DNS, "fd96::a"], &ports));
    Ok(lab)
});

const DNS: &str = "10.96.0.10";

fn ask(host: &impl Host, words: &[&str]) -> String {
    let mut line = vec!["dig", "+time=1", "+tries=1"];
    line.extend(words);
    host.exec(&line).stdout
}

fn short(host: &impl Host, server: &str, name: &str, kind: &str) -> Vec<String> {
    let answer = ask(host, &["+short", server, name, kind]);
    let mut lines: Vec<_> = answer.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_service_has_its_addresses_by_name_over_both_families_and_transports() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("asker").unwrap();
    lab.apply(service("named", &["10.96.2.1", "fd96::2:1"], &[("", "TCP", 80)]));
    let name = "named.default.svc.cluster.local";
    let known = || short(&pod, "@10.96.0.10", name, "A") == ["10.96.2.1"];
    assert!(eventually(Duration::from_secs(5), known), "{}", ask(&pod, &["@10.96.0.10", name]));
    for server in ["@10.96.0.10", "@fd96::a"] {
        assert_eq!(short(&pod, server, name, "AAAA"), ["fd96::2:1"]);
        assert!(ask(&pod, &["+tcp", server, name, "A"]).contains("10.96.2.1"));
        assert!(ask(lab.node(1), &[server, name, "A"]).contains("10.96.2.1"));
    }
}

#[test]
fn a_headless_service_has_its_endpoints_addresses() {
    let Some(lab) = LAB.enter() else { return };
    let (a, b) = (lab.node(1).add_pod("head-a").unwrap(), lab.node(1).add_pod("head-b").unwrap());
    lab.apply(service("headless", &[], &[("", "TCP", 80)]));
    let ports = [("", "TCP", 80)];
    lab.apply(endpoint_slice("headless", &[(a.v4(), "n1"), (b.v4(), "n1")], &ports));
    let mut want = vec![a.v4().to_string(), b.v4().to_string()];
    want.sort();
    let known = || short(&a, "@10.96.0.10", "headless.default.svc.cluster.local", "A") == want;
    assert!(eventually(Duration::from_secs(5), known));
}

#[test]
fn a_name_that_does_not_exist_is_denied() {
    let Some(lab) = LAB.enter() else { return };
    let pod = lab.node(1).add_pod("denied").unwrap();
    let denied = || {
        ask(&pod, &["@10.96.0.10", "nothing.default.svc.cluster.local"])
            .contains("status: NXDOMAIN")
    };
    assert!(eventually(Duration::from_secs(5), denied));
}
