//! The plugin's real binary against a server of ours, as a container runtime would run it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use fairlead_cni::protocol::{Attachment, Command, Failure, Pod, Request, Response, code};

mod support;

use support::{Netns, Node, Outcome, added};

const ALL: [&str; 7] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

fn spooled(node: &Node) -> Vec<PathBuf> {
    fs::read_dir(node.spool()).map_or(Vec::new(), |dir| dir.map(|e| e.unwrap().path()).collect())
}

fn error(outcome: &Outcome) -> (u64, String) {
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    let document = outcome.json();
    assert!(ALL.contains(&document["cniVersion"].as_str().unwrap()));
    (document["code"].as_u64().unwrap(), document["msg"].as_str().unwrap().to_string())
}

#[test]
fn without_a_command_it_says_what_it_is() {
    let outcome = Node::without_agent().run(&[], b"");
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""));
    assert!(outcome.stderr.starts_with("CNI plugin fairlead-cni v"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"));
}

#[test]
fn version_is_answered_without_an_agent_in_the_callers_version() {
    let node = Node::without_agent();
    for (input, said) in [
        (&br#"{"cniVersion":"0.4.0"}"#[..], "0.4.0"),
        (br#"{"cniVersion":"9.9.9"}"#, "1.1.0"),
        (b"garbage", "1.1.0"),
        (b"", "1.1.0"),
    ] {
        let outcome = node.run(&[("CNI_COMMAND", "VERSION")], input);
        assert_eq!(outcome.exit, 0);
        assert_eq!(outcome.json(), json!({ "cniVersion": said, "supportedVersions": ALL }));
    }
}

#[test]
fn add_hands_over_the_namespace_and_the_pod_and_prints_the_result() {
    let Some(netns) = Netns::new() else { return };
    let node = Node::new(|_| Response::Added(added()));
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;\
                K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=1234";
    let outcome = node.command("ADD", &netns.path(), &[("CNI_ARGS", args)], "1.1.0");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(
        outcome.json(),
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [
                { "name": "fl0123456789a", "mac": "02:00:00:00:00:01", "mtu": 1450 },
                { "name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1450, "sandbox": "/netns" },
            ],
            "ips": [
                { "address": "10.0.0.5/32", "gateway": "169.254.1.1", "interface": 1 },
                { "address": "fd00::5/128", "gateway": "fe80::1", "interface": 1 },
            ],
            "routes": [
                { "dst": "0.0.0.0/0", "gw": "169.254.1.1", "mtu": 1400 },
                { "dst": "::/0", "gw": "fe80::1" },
            ],
            "dns": {},
        })
    );
    let (request, inode) = node.seen().remove(0);
    assert_eq!(request.command, Command::Add);
    assert_eq!((&*request.container_id, &*request.ifname), ("abc", "eth0"));
    assert_eq!(request.netns, netns.path());
    let pod = Pod { namespace: "default".into(), name: "web-0".into(), uid: "1234".into() };
    assert_eq!(request.pod, pod);
    assert_eq!(inode, Some(netns.inode()), "the agent got the pod's namespace");
}

#[test]
fn results_have_the_shape_of_the_version_asked_for() {
    let Some(netns) = Netns::new() else { return };
    let node = Node::new(|_| Response::Added(added()));
    let result = |version: &str| node.command("ADD", &netns.path(), &[], version).json();

    let result_1_0 = result("1.0.0");
    assert_eq!(result_1_0["cniVersion"], "1.0.0");
    assert_eq!(result_1_0["ips"][0].get("version"), None);
    assert_eq!(result_1_0["interfaces"][1].get("mtu"), None, "1.1.0 brought it");
    assert_eq!(result_1_0["routes"][0], json!({ "dst": "0.0.0.0/0", "gw": "169.254.1.1" }));

    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        let result = result(version);
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["ips"][0]["version"], "4");
        assert_eq!(result["ips"][1]["version"], "6");
        assert_eq!(result["ips"][1]["interface"], 1);
    }

    for version in ["0.1.0", "0.2.0", ""] {
        let said = if version.is_empty() { "0.1.0" } else { version };
        let ip = |ip: &str, gw: &str, dst: &str| json!({ "ip": ip, "gateway": gw, "routes": [{ "dst": dst, "gw": gw }] });
        let expected = json!({
            "cniVersion": said,
            "ip4": ip("10.0.0.5/32", "169.254.1.1", "0.0.0.0/0"),
            "ip6": ip("fd00::5/128", "fe80::1", "::/0"),
            "dns": {},
        });
        assert_eq!(result(version), expected);
    }
}

#[test]
fn the_agents_error_is_printed_as_it_is() {
    let Some(netns) = Netns::new() else { return };
    let node = Node::new(|_| Failure::new(11, "no free address").details("delete pods").into());
    let outcome = node.command("ADD", &netns.path(), &[], "0.4.0");
    assert_eq!(outcome.exit, 1);
    let expected = json!({
        "cniVersion": "0.4.0", "code": 11, "msg": "no free address", "details": "delete pods",
    });
    assert_eq!(outcome.json(), expected);
}

#[test]
fn check_hands_over_the_namespace_and_prints_nothing() {
    let Some(netns) = Netns::new() else { return };
    let node = Node::new(|_| Response::Done);
    let outcome = node.command("CHECK", &netns.path(), &[], "1.0.0");
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
    assert_eq!(node.seen()[0].1, Some(netns.inode()));
    let old = node.command("CHECK", &netns.path(), &[], "0.3.1");
    assert_eq!(error(&old), (1, "cniVersion 0.3.1 does not allow CHECK".into()));
}

#[test]
fn an_agent_that_is_down_is_named_with_where_to_look() {
    let Some(netns) = Netns::new() else { return };
    let node = Node::without_agent();
    for command in ["ADD", "CHECK", "GC", "STATUS"] {
        let outcome = node.command(command, &netns.path(), &[], "1.1.0");
        let (code, msg) = error(&outcome);
        assert_eq!(code, if command == "STATUS" { 50 } else { 11 });
        assert!(msg.contains("the Fairlead agent is not running on this node"), "{msg}");
        let look = "kubectl -n kube-system get pods -l app=fairlead-agent -o wide";
        assert!(outcome.json()["details"].as_str().unwrap().contains(look));
    }
    assert_eq!(spooled(&node), [] as [PathBuf; 0]);
}

#[test]
fn a_del_is_spooled_while_the_agent_is_down_and_read_when_it_is_back() {
    let node = Node::without_agent();
    for netns in ["", "/run/netns/that-is-gone"] {
        let outcome = node.command("DEL", netns, &[], "1.0.0");
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
    }
    assert_eq!(spooled(&node).len(), 2);
    let agent = node.agent(|_| Response::Done);
    let drained = node.block_on(fairlead_cni::spool::drain(&node.spool(), &agent)).unwrap();
    assert_eq!(drained.done, 2);
    let (request, _) = node.seen().remove(0);
    assert_eq!((request.command, &*request.container_id), (Command::Del, "abc"));
    assert_eq!(spooled(&node), [] as [PathBuf; 0]);
}

#[test]
fn a_del_goes_to_an_agent_that_runs_and_its_error_is_the_plugins() {
    let node = Node::new(|_| Response::Done);
    assert_eq!(node.command("DEL", "", &[], "1.0.0").exit, 0);
    assert_eq!(node.seen().len(), 1);
    let node = Node::new(|_| Failure::new(code::IO, "cannot delete the link").into());
    assert_eq!(error(&node.command("DEL", "", &[], "1.0.0")).1, "cannot delete the link");
    assert_eq!(spooled(&node), [] as [PathBuf; 0]);
}

#[test]
fn a_del_that_the_agent_dies_of_is_spooled() {
    let node = Node::without_agent();
    let listener = std::os::unix::net::UnixListener::bind(node.socket()).unwrap();
    let dying = std::thread::spawn(move || drop(listener.accept().unwrap()));
    assert_eq!(node.command("DEL", "", &[], "1.0.0").exit, 0);
    dying.join().unwrap();
    assert_eq!(spooled(&node).len(), 1);
}

#[test]
fn a_del_that_can_neither_be_said_nor_spooled_fails() {
    let node = Node::without_agent();
    fs::write(node.spool(), "a file where the directory should be").unwrap();
    let (code, msg) = error(&node.command("DEL", "", &[], "1.0.0"));
    assert_eq!(code, 5);
    assert!(msg.contains(node.spool().to_str().unwrap()), "{msg}");
}

#[test]
fn gc_passes_the_valid_attachments_on_and_is_refused_without_them() {
    let node = Node::new(|_| Response::Done);
    let mut config = node.config("1.1.0");
    let without = node.run(&[("CNI_COMMAND", "GC")], config.to_string().as_bytes());
    assert_eq!(error(&without).0, 7);
    assert_eq!(node.seen(), [], "an agent that sees no list would detach every pod");
    config["cni.dev/valid-attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
    config["cni.dev/attachments"] = config["cni.dev/valid-attachments"].clone();
    let outcome = node.run(&[("CNI_COMMAND", "GC")], config.to_string().as_bytes());
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
    let valid = vec![Attachment { container_id: "a".into(), ifname: "eth0".into() }];
    let request = Request { valid_attachments: valid, ..Request::new(Command::Gc) };
    assert_eq!(node.seen(), [(request, None)]);
}

#[test]
fn status_is_the_agents_word_and_needs_version_1_1() {
    let node = Node::new(|_| Response::Done);
    assert_eq!(node.command("STATUS", "", &[], "1.1.0").exit, 0);
    assert_eq!(error(&node.command("STATUS", "", &[], "1.0.0")).0, 1);
    let node = Node::new(|_| Failure::new(code::NOT_AVAILABLE_LIMITED, "no uplink").into());
    assert_eq!(error(&node.command("STATUS", "", &[], "1.1.0")), (51, "no uplink".into()));
}

#[test]
fn configurations_that_are_none_get_the_specifications_codes() {
    let node = Node::new(|_| Response::Done);
    let run = |config: &[u8]| {
        let env = [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "abc"), ("CNI_IFNAME", "eth0")];
        error(&node.run(&[&env[..], &[("CNI_NETNS", "/netns")]].concat(), config))
    };
    for garbage in [&b""[..], b"\xff\x00", b"{", b"[1]", b"null", br#"{"cniVersion":1}"#] {
        assert_eq!(run(garbage).0, 6, "{garbage:?}");
    }
    assert_eq!(run(&vec![b'['; 6 << 20]).0, 6);
    let with = |key: &str, value: Value| {
        let mut config = node.config("1.1.0");
        config[key] = value;
        run(config.to_string().as_bytes())
    };
    for version in ["2.0.0", "1.0", "x", "1.1.0-rc1"] {
        let (code, msg) = with("cniVersion", json!(version));
        assert_eq!(code, 1);
        assert!(msg.contains(version), "{msg}");
    }
    for name in ["", "-x", "a b", "a/b"] {
        assert_eq!(with("name", json!(name)).0, 7, "{name:?}");
    }
    assert_eq!(with("socket", json!("relative")).0, 7);
    for (key, value) in [("ipam", json!({ "type": "host-local" })), ("prevResult", json!({}))] {
        let (code, msg) = with(key, value.clone());
        assert_eq!(code, 2);
        assert!(msg.contains(key) && msg.contains(&value.to_string()), "{msg}");
    }
    assert_eq!(node.seen(), []);
}

#[test]
fn a_wrong_environment_is_code_4_and_names_the_variable() {
    let node = Node::new(|_| Response::Done);
    let config = node.config("1.1.0").to_string();
    let good = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "abc"),
        ("CNI_NETNS", "/proc/self/ns/net"),
        ("CNI_IFNAME", "eth0"),
    ];
    for (name, value) in [
        ("CNI_COMMAND", "add"),
        ("CNI_COMMAND", "PLUG"),
        ("CNI_CONTAINERID", ""),
        ("CNI_CONTAINERID", "../../etc/passwd"),
        ("CNI_CONTAINERID", "a b"),
        ("CNI_CONTAINERID", "-rf"),
        ("CNI_NETNS", ""),
        ("CNI_NETNS", "/nowhere"),
        ("CNI_NETNS", "/etc/passwd"),
        ("CNI_NETNS", "/dev/null"),
        ("CNI_NETNS", "/proc/self/ns/net"),
        ("CNI_IFNAME", ""),
        ("CNI_IFNAME", "eth/0"),
        ("CNI_IFNAME", "."),
        ("CNI_IFNAME", "a-name-of-16-chr"),
        ("CNI_ARGS", "K8S_POD_NAME"),
    ] {
        let env: Vec<_> = good.iter().filter(|v| v.0 != name).copied().collect();
        let outcome = node.run(&[&env[..], &[(name, value)]].concat(), config.as_bytes());
        let (code, msg) = error(&outcome);
        assert_eq!(code, 4, "{name}={value}: {msg}");
        assert!(msg.contains(name), "{name}={value}: {msg}");
    }
    assert_eq!(node.seen(), []);
}

#[test]
fn a_fifo_as_namespace_stops_nobody() {
    let node = Node::new(|_| Response::Done);
    let fifo = node.dir().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let outcome = node.command("ADD", fifo.to_str().unwrap(), &[], "1.0.0");
    assert_eq!(error(&outcome).0, 4);
}

#[test]
fn an_agent_that_talks_nonsense_is_an_error_not_a_hang() {
    let Some(netns) = Netns::new() else { return };
    for (answer, code) in
        [(&b"hello\n"[..], 6), (b"{\"protocol\":7,\"body\":0}\n", 11), (b"half", 11)]
    {
        let node = Node::without_agent();
        let listener = std::os::unix::net::UnixListener::bind(node.socket()).unwrap();
        let agent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            std::io::Write::write_all(&mut stream, answer).unwrap();
        });
        let outcome = node.command("ADD", &netns.path(), &[], "1.0.0");
        agent.join().unwrap();
        assert_eq!(error(&outcome).0, code, "{answer:?}: {outcome:?}");
    }
}

#[test]
fn a_gc_of_thousands_of_attachments_fits() {
    let node = Node::new(|_| Response::Done);
    let mut config = node.config("1.1.0");
    let attachment = |i| json!({ "containerID": format!("{i:064x}"), "ifname": "eth0" });
    config["cni.dev/valid-attachments"] = (0..5000).map(attachment).collect();
    let outcome = node.run(&[("CNI_COMMAND", "GC")], config.to_string().as_bytes());
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(node.seen()[0].0.valid_attachments.len(), 5000);
}

#[test]
fn a_hundred_plugins_at_once_all_get_their_answer() {
    let node = Node::new(|_| Response::Done);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| assert_eq!(node.command("DEL", "", &[], "1.0.0").exit, 0));
        }
    });
    assert_eq!(node.seen().len(), 100);
    assert!(!Path::new(&node.spool()).exists(), "none was spooled");
}
