//! Starts on nodes that lack something.

use std::time::Duration;

use fairlead_tests::{Host, eventually};
use serde_json::json;

use crate::{agent, assert_refused, enter, everything, own_cgroup};

/// Name, lines of configuration, preparation, wrapper, words of the sentence.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    ("an old kernel", "", "", "setarch --uname-2.6", &["kernel 2.6", "too old", "6.6", "upgrade"]),
    (
        "no cgroup v2",
        "cgroup: null",
        "mount -t tmpfs none /sys/fs/cgroup",
        "",
        &["no cgroup v2", "mount -t cgroup2"],
    ),
    (
        "a cgroup that is not there",
        "cgroup: /nowhere",
        "",
        "",
        &["/nowhere is no cgroup v2 directory", "No such file", "hostPath"],
    ),
    ("another file system", "cgroup: /mnt", "", "", &["/mnt is no cgroup v2", "cgroup2", "leave"]),
    (
        "bpffs on a read-only file system",
        "bpffs: /mnt/ro/bpf",
        "mkdir /mnt/ro; mount -t tmpfs -o ro none /mnt/ro",
        "",
        &["no BPF file system at /mnt/ro/bpf", "Read-only", "mount -t bpf bpf /mnt/ro/bpf"],
    ),
    (
        "bpffs below a file",
        "bpffs: /mnt/file/bpf",
        "touch /mnt/file",
        "",
        &["no BPF file system at /mnt/file/bpf", "Not a directory", "`bpffs`"],
    ),
    (
        "not root",
        "",
        "",
        "setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search",
        &["needs root", "deploy/fairlead.yaml"],
    ),
    ("no rights", "", "", "setpriv --bounding-set -all --inh-caps -all", &["lacks CAP_", "privileged"]),
    (
        "no right to administer",
        "",
        "",
        "setpriv --bounding-set -sys_admin --inh-caps -sys_admin",
        &["lacks CAP_SYS_ADMIN", "privileged"],
    ),
    (
        "no right to change networks",
        "",
        "",
        "setpriv --bounding-set -net_admin --inh-caps -net_admin",
        &["lacks CAP_NET_ADMIN", "privileged"],
    ),
    ("root of a user namespace", "", "", "unshare --map-root-user", &["privileged"]),
    (
        "a run directory that cannot be made",
        "",
        "mount -t tmpfs -o ro none /run",
        "",
        &["run directory /run/fairlead", "Read-only", "`runDir`"],
    ),
    (
        "a run directory that cannot be written",
        "runDir: /mnt/run",
        "mkdir /mnt/run; mount -t tmpfs -o ro none /mnt/run",
        "",
        &["run directory /mnt/run", "Read-only", "`runDir`"],
    ),
    (
        "a map too large",
        "maps: {fl_nat_tcp: 4294967295}",
        "",
        "",
        &["map fl_nat_tcp", "too large", "lower `maps.fl_nat_tcp`"],
    ),
    ("a map that is none", "maps: {fl_nat: 5}", "", "", &["maps.fl_nat:", "fl_nat_tcp"]),
    ("a map without room", "maps: {fl_nat_tcp: 0}", "", "", &["maps.fl_nat_tcp:", "leave it out"]),
    (
        "a map of another shape",
        "bpffs: /mnt/bpf",
        "mkdir /mnt/bpf; mount -t bpf none /mnt/bpf; mkdir -p /mnt/bpf/fairlead/maps-v1
         bpftool map create /mnt/bpf/fairlead/maps-v1/fl_drops type array key 4 value 4 entries 1 name x",
        "",
        &["/mnt/bpf/fairlead/maps-v1/fl_drops", "another shape", "fairlead cleanup"],
    ),
    ("a domain that is none", "clusterDomain: '..'", "", "", &["cluster domain '..'", "cluster.local"]),
];

#[test]
fn a_node_that_lacks_something_is_told_in_a_sentence_and_left_as_it_was() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    for (what, config, setup, wrapper, words) in CASES {
        let config = match config {
            own if own.contains("cgroup:") => (*own).to_owned(),
            more => own_cgroup(node, more),
        };
        let output = agent(node, &config, setup, wrapper);
        eprintln!("{what}: {}", output.stderr.trim_end());
        assert_refused(what, &output, words);
        assert_eq!(everything(node), before, "{what}");
    }
}

#[test]
fn a_port_that_is_in_use_is_told_before_anything_is_attached() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    let _other = node.start("tcp-echo-server 127.0.0.1:9965 other");
    let output = agent(node, &own_cgroup(node, ""), "", "");
    assert_refused("port", &output, &["metrics on 127.0.0.1:9965", "in use", "`metricsAddress`"]);
    assert_eq!(everything(node), before);
}

const READY_IN: Duration = Duration::from_secs(20);

#[test]
fn a_bpffs_that_is_missing_is_mounted_and_types_of_the_kernel_are_not_needed() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let config = own_cgroup(node, "bpffs: /mnt/bpf\nrunDir: /mnt/run");
    // timeout(1) ends an agent that runs as long as it may: 124
    let wrapper = "timeout 1";
    let output = agent(node, &config, "mount -t tmpfs none /sys/kernel/btf", wrapper);
    assert_eq!(output.code, 124, "{output:?}");
    assert!(output.stderr.contains("datapath loaded"), "{output:?}");
    assert!(output.stderr.contains("the node goes on forwarding"), "{output:?}");
}

#[test]
fn a_second_agent_is_refused_and_the_first_goes_on() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    node.start_agent().unwrap();
    node.wait_ready(READY_IN).unwrap();
    let before = everything(node);
    let output = agent(node, &node.config().unwrap().to_string(), "", "");
    assert_refused("second", &output, &["another agent answers", "stop it first"]);
    assert_eq!(everything(node), before);
    assert_eq!(node.status()["api"]["connected"], json!(true));
    let pod = node.add_pod("after").unwrap();
    pod.delete().unwrap();
}

#[test]
fn an_upgrade_that_is_refused_leaves_the_old_forwarding_alone() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    node.start_agent().unwrap();
    node.wait_ready(READY_IN).unwrap();
    let (one, two) = (node.add_pod("one").unwrap(), node.add_pod("two").unwrap());
    node.stop_agent();
    let shell = |script: &str| assert!(node.exec(&["sh", "-ec", script]).ok(), "{script}");
    shell(
        "rm /run/fairlead/*.sock; cd /sys/fs/bpf/fairlead; mv maps-v1/fl_nodes kept
         bpftool map create maps-v1/fl_nodes type hash key 4 value 4 entries 8 name wrong",
    );
    let before = everything(node);
    let config = node.config().unwrap().to_string();
    let output = agent(node, &config, "", "");
    assert_refused("shape", &output, &["maps-v1/fl_nodes", "another shape", "fairlead cleanup"]);
    assert_eq!(everything(node), before);
    let ping = format!("ping {} 3", two.v4());
    assert_eq!(one.traffic(&ping)["ok"], 3);
    shell("cd /sys/fs/bpf/fairlead; rm maps-v1/fl_nodes; mv kept maps-v1/fl_nodes");
    node.restart_agent().unwrap();
    assert!(eventually(READY_IN, || one.traffic(&ping)["ok"] == 3));
}
