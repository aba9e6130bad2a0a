//! Configuration files as people write them.

use fairlead_tests::{Host, agent_binary};

use crate::{agent, assert_refused, enter, everything, own_cgroup};

/// Text of the file, words of the sentence.
const BAD: &[(&str, &[&str])] = &[
    ("routting: auto", &["unknown field `routting`", "`routing`"]),
    ("routing: foo", &["routing:", "`foo`", "`auto`, `direct`, `vxlan`"]),
    ("natPorts: x", &["natPorts:", "'x'", "61000-65535"]),
    ("natPorts: 5", &["natPorts:", "'5'", "61000-65535"]),
    ("metricsAddress: foo", &["metricsAddress:", "127.0.0.1:9965"]),
    ("mtu: -1", &["mtu:", "`-1`", "a number from 0"]),
    ("mtu: 100", &["mtu: 100", "1280"]),
    ("mtu: [1", &["configuration ", "line"]),
    ("vxlanPort: 99999", &["vxlanPort:", "`99999`", "65535"]),
    ("vxlanPort: 0", &["vxlanPort: 0", "8472"]),
    ("devices: eth0", &["devices:", "\"eth0\"", "a list"]),
    ("masquerade: true", &["masquerade:", "`true`", "`ipv4`"]),
    ("masquerade: {ipv5: true}", &["masquerade:", "`ipv5`", "`ipv4`"]),
    ("maps: {fl_nat_tcp: many}", &["maps.fl_nat_tcp:", "\"many\"", "a number"]),
    ("log: loud", &["log: 'loud'", "error, warn, info, debug, trace"]),
    ("runDir: here", &["runDir: 'here'", "/ first"]),
    ("bpffs: ''", &["bpffs: ''", "/ first"]),
    ("dns: {x: y}", &["dns:", "`x`", "`clusterIP`"]),
    ("ipam: {clusterCIDRs: [x]}", &["ipam.clusterCIDRs[0]"]),
    ("mtu: 0\nmtu: 0", &["duplicate", "`mtu`"]),
];

#[test]
fn a_bad_configuration_is_named_with_its_key_and_what_would_do() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    for (text, words) in BAD {
        let output = agent(node, &own_cgroup(node, text), "", "");
        eprintln!("{text}: {}", output.stderr.trim_end());
        assert_refused(text, &output, words);
        assert!(output.stderr.contains(node.config_path().to_str().unwrap()));
    }
    for text in ["hello", "[1, 2]", "\u{0}"] {
        let output = agent(node, text, "", "");
        eprintln!("{text:?}: {}", output.stderr.trim_end());
        assert_refused(text, &output, &["configuration ", "config.yaml"]);
    }
    assert_eq!(everything(node), before);
}

#[test]
fn a_start_without_what_it_is_told_says_what_to_give() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    let bin = agent_binary().unwrap();
    let bin = bin.to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["agent", "--config", "/nowhere.yaml"], &["/nowhere.yaml", "No such file", "--config"]),
        (&["agent", "--config", "/etc"], &["/etc", "directory", "--config"]),
        (&["agent"], &["--node-name", "NODE_NAME", "spec.nodeName"]),
        (&["agent", "--node-name", ""], &["--node-name", "NODE_NAME"]),
        (&["controller"], &["--identity", "POD_NAME"]),
    ];
    for (arguments, words) in cases {
        let mut command = vec!["env", "-u", "NODE_NAME", "-u", "POD_NAME", "timeout", "10", bin];
        command.extend(*arguments);
        let output = node.exec(&command);
        eprintln!("{arguments:?}: {}", output.stderr.trim_end());
        assert_refused(&arguments.join(" "), &output, words);
    }
    assert_eq!(everything(node), before);
}
