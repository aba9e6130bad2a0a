//! The screen of a healthy, a degraded and a not-ready agent, and of one of a large cluster.
//! `UPDATE_EXPECT=1 cargo test -p fairlead-observe` writes the screens anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use fairlead_observe::status::{
    Api, Datapath, Device, Dns, Drops, Map, Node, OtherNode, Pods, Problem, Program, Range,
    Services, State, Status, Traffic,
};

fn healthy() -> Status {
    Status {
        node: Node {
            name: "worker-1".into(),
            version: "0.1.0".into(),
            uptime: 11_525,
            kernel: "6.18.0".into(),
            addresses: vec!["192.0.2.11".parse().unwrap(), "2001:db8::11".parse().unwrap()],
        },
        api: Api {
            server: "https://192.0.2.10:6443".into(),
            connected: true,
            since: 11_520,
            ..Default::default()
        },
        datapath: datapath(),
        nodes: vec![other(2, "direct"), other(3, "vxlan")],
        pods: Pods {
            count: 12,
            ranges: vec![range("10.244.1.0/24", 14), range("fd00:1::/64", 14)],
        },
        services: Services { services: 31, frontends: 74, backends: 1_204, problems: vec![] },
        dns: Dns {
            addresses: vec!["10.96.0.10".parse().unwrap(), "fd00:96::a".parse().unwrap()],
            answered: 182_333,
            failed: 4,
        },
        maps: maps(),
        traffic: traffic(),
        drops: vec![
            drops("from_pod", "source address is not the pod's own", 0),
            drops("to_wire", "no port is free to masquerade to this destination", 17),
        ],
        reported: vec![],
    }
}

fn datapath() -> Datapath {
    let program = |(name, n): (&str, u32)| Program { name: name.into(), attached: n, wanted: n };
    Datapath {
        programs: [
            ("from_pod", 12),
            ("to_pod", 12),
            ("from_wire", 1),
            ("to_wire", 1),
            ("from_overlay", 1),
            ("to_overlay", 1),
            ("connect4", 1),
            ("connect6", 1),
            ("sendmsg4", 1),
            ("sendmsg6", 1),
            ("recvmsg4", 1),
            ("recvmsg6", 1),
            ("getpeername4", 1),
            ("getpeername6", 1),
            ("sock_release", 1),
        ]
        .map(program)
        .into(),
        layout: 1,
        bpffs: "/sys/fs/bpf/fairlead".into(),
        cgroup: "/sys/fs/cgroup".into(),
        routing: "auto".into(),
        mtu: 1450,
        mtu_reason: "vxlan over eth0".into(),
        masquerade: vec!["IPv4".into(), "IPv6".into()],
        devices: vec![Device { name: "eth0".into(), mtu: 1500, offloads_off: vec![] }],
    }
}

fn other(number: u32, way: &str) -> OtherNode {
    OtherNode {
        name: format!("worker-{number}"),
        address: Some(format!("192.0.2.1{number}").parse().unwrap()),
        way: way.into(),
        pod_cidrs: vec![format!("10.244.{number}.0/24"), format!("fd00:{number}::/64")],
        problem: None,
    }
}

fn range(cidr: &str, in_use: u64) -> Range {
    Range { cidr: cidr.into(), in_use, capacity: 253 }
}

fn drops(hook: &str, reason: &str, packets: u64) -> Drops {
    Drops { hook: hook.into(), reason: reason.into(), packets }
}

fn maps() -> Vec<Map> {
    [
        ("fl_endpoints", 24, 4_096, false),
        ("fl_nodes", 4, 16_384, false),
        ("fl_frontends", 74, 65_536, false),
        ("fl_slots", 2_408, 1_048_576, false),
        ("fl_backends", 1_204, 262_144, false),
        ("fl_nat_tcp", 131_070, 131_072, true),
        ("fl_nat_any", 512, 131_072, true),
    ]
    .map(|(name, entries, max, evicts)| Map { name: name.into(), entries, max, evicts })
    .into()
}

fn traffic() -> Vec<Traffic> {
    [
        ("pod", 82_331_231, 91_234_567_890),
        ("direct", 1_233_123, 1_223_123_123),
        ("vxlan", 0, 0),
        ("masquerade", 31_231, 2_312_123),
        ("service_socket", 9_231, 0),
    ]
    .map(|(how, packets, bytes)| Traffic { how: how.into(), packets, bytes })
    .into()
}

fn degraded() -> Status {
    let mut status = healthy();
    status.api.connected = false;
    status.api.since = 95;
    status.api.error = Some("connection refused".into());
    status.datapath.devices[0].offloads_off = vec!["tx-udp_tnl-segmentation".into()];
    status.nodes[1].problem =
        Some("it has no podCIDR: start kube-controller-manager with --allocate-node-cidrs".into());
    status.nodes[1].pod_cidrs.clear();
    status.pods.ranges[0].in_use = 240;
    status.services.problems = vec![
        "shop/cart: SCTP port 3868 has endpoints on port 3869, which cannot be translated: \
         set targetPort to 3868"
            .into(),
    ];
    status.maps[2].entries = 64_000;
    status.drops.push(drops("socket", "the Service has no ready endpoint", 1_802));
    status
}

fn not_ready() -> Status {
    Status {
        node: Node { uptime: 3, ..healthy().node },
        api: Api {
            server: "https://192.0.2.10:6443".into(),
            connected: true,
            since: 2,
            error: None,
            not_synced: vec!["Node".into(), "EndpointSlice".into()],
        },
        reported: vec![Problem::not_ready(
            "no cgroup v2 is mounted: Services can't be served at sockets",
            "boot with systemd.unified_cgroup_hierarchy=1 or mount cgroup2 on /sys/fs/cgroup",
        )],
        ..Default::default()
    }
}

fn large() -> Status {
    let mut status = healthy();
    status.nodes = (0..5_000).map(|n| other(n % 10, "direct")).collect();
    status.services.problems = (0..500).map(|n| format!("shop/s{n}: some fault")).collect();
    status.drops = (1..50).map(|n| drops("from_pod", &format!("reason {n}"), n)).collect();
    status
}

fn check(name: &str, status: &Status, state: State) {
    assert_eq!(status.state(), state);
    let got = status.render();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &got).unwrap();
    }
    let want = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(got == want, "{name}\n--- expected\n{want}--- got\n{got}");
    assert_fits_a_screen(&got);
}

fn assert_fits_a_screen(text: &str) {
    assert!(text.is_ascii(), "{text}");
    assert!(text.lines().all(|line| line.len() <= 96), "{text}");
    assert!(text.lines().count() <= 60, "{text}");
}

#[test]
fn a_healthy_agent_says_so_in_its_first_line() {
    check("healthy", &healthy(), State::Ok);
}

#[test]
fn a_degraded_agent_says_first_what_is_wrong_and_what_to_do() {
    check("degraded", &degraded(), State::Degraded);
}

#[test]
fn an_agent_that_is_not_ready_says_what_it_lacks() {
    check("not-ready", &not_ready(), State::NotReady);
}

#[test]
fn a_large_cluster_with_many_faults_fits_a_screen() {
    assert_fits_a_screen(&large().render());
}

#[test]
fn json_has_the_state_and_comes_back_as_the_status() {
    let status = degraded();
    let json: serde_json::Value = serde_json::from_str(&status.to_json()).unwrap();
    assert_eq!(json["state"], "Degraded");
    assert_eq!(json["problems"].as_array().unwrap().len(), status.problems().len());
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
}
