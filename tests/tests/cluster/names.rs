//! Names, as programs in pods ask for them.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::command::{Said, holds, within};
use crate::place::Place;
use crate::pods;

const DOMAIN: &str = "default.svc.cluster.local";

pub fn all(cluster: &Cluster) {
    let pods = pods::all_ready(cluster);
    for node in cluster.nodes() {
        let client = &pods::named(&pods, &format!("a-{node}")).place;
        services(cluster, client);
        headless(cluster, client);
        unknown(client);
        by_the_system_resolver(client, cluster);
    }
}

/// The lines that `dig +short` answers, sorted; waits a little for what was made just now.
#[track_caller]
fn answers(client: &Place, question: &str, wanted: &[String]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let what = format!("{}: dig {question} answers {wanted:?}", client.name());
    within(Duration::from_secs(15), &what, || {
        let said = client.run(&format!("dig +short +time=2 +tries=2 {question}"));
        let mut lines: Vec<String> = said.out.lines().map(str::to_owned).collect();
        lines.sort();
        holds(said.ok() && lines == wanted, || said.whole())
    });
}

fn services(cluster: &Cluster, client: &Place) {
    let targets = pods::service_targets(cluster, "echo");
    let of =
        |v6: bool| targets.iter().filter(move |t| t.is_ipv6() == v6).map(|t| t.ip().to_string());
    let (v4, v6): (Vec<_>, Vec<_>) = (of(false).collect(), of(true).collect());
    for server in dns_servers(cluster) {
        for transport in ["+notcp", "+tcp"] {
            answers(client, &format!("@{server} {transport} echo.{DOMAIN} A"), &v4);
            answers(client, &format!("@{server} {transport} echo.{DOMAIN} AAAA"), &v6);
        }
    }
    for ip in v4.iter().chain(&v6) {
        answers(client, &format!("-x {ip}"), &[format!("echo.{DOMAIN}.")]);
    }
}

/// In each family; the one of IPv4 is in pods' /etc/resolv.conf.
fn dns_servers(cluster: &Cluster) -> Vec<String> {
    let ips = cluster.get("service -n kube-system kube-dns")["spec"]["clusterIPs"].take();
    let ips = ips.as_array().into_iter().flatten().filter_map(|ip| ip.as_str());
    let ips: Vec<_> = ips.map(str::to_owned).collect();
    assert_eq!(ips.len(), if cluster.topology.dual { 2 } else { 1 }, "{ips:?}");
    ips
}

fn headless(cluster: &Cluster, client: &Place) {
    let pods = pods::all_ready(cluster);
    for (kind, v6) in [("A", false), ("AAAA", true)] {
        let of = |name: &str| -> Vec<String> {
            let chosen = pods.iter().filter(|pod| !pod.host_network && pod.name.contains(name));
            let ips = chosen.flat_map(|pod| &pod.ips).filter(|ip| ip.is_ipv6() == v6);
            ips.map(ToString::to_string).collect()
        };
        answers(client, &format!("echo-headless.{DOMAIN} {kind}"), &of(""));
        answers(client, &format!("b-n2.echo-headless.{DOMAIN} {kind}"), &of("b-n2"));
        for ip in of("b-n2") {
            answers(client, &format!("-x {ip}"), &[format!("b-n2.echo-headless.{DOMAIN}.")]);
        }
    }
}

fn unknown(client: &Place) {
    for name in ["nothing", "nothing.echo", "echo.nowhere.svc.cluster.local. +norec"] {
        let name = if name.contains("local") { name.into() } else { format!("{name}.{DOMAIN}") };
        let said = client.run(&format!("dig +time=2 +tries=2 {name} A"));
        assert!(said.out.contains("status: NXDOMAIN"), "{}", said.whole());
    }
}

/// What a command that succeeds only with an answer printed: ctr of containerd 1.6 sometimes ends before
/// it has passed the output on.
fn heard(client: &Place, command: &str) -> Said {
    let mut said = client.run(command);
    for _ in 0..2 {
        if !said.ok() || !said.out.is_empty() {
            break;
        }
        said = client.run(command);
    }
    said
}

/// glibc's and busybox's, with the search path of the pod.
fn by_the_system_resolver(client: &Place, cluster: &Cluster) {
    for target in pods::service_targets(cluster, "echo") {
        let (database, kind) =
            if target.is_ipv6() { ("ahostsv6", "aaaa") } else { ("ahostsv4", "a") };
        let ip = target.ip().to_string();
        for name in ["echo", "echo.default", "echo.default.svc", &format!("echo.{DOMAIN}")] {
            let said = heard(client, &format!("getent {database} {name}"));
            assert!(said.ok() && said.out.contains(&ip), "{name}: {}", said.whole());
        }
        let said = client.run(&format!("nslookup -type={kind} echo.{DOMAIN}"));
        assert!(said.ok() && said.out.contains(&ip), "{}", said.whole());
    }
}
