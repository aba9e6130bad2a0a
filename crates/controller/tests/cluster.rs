//! The manifest's rights, the watches and the controller against a real API server.
//!
//! FAIRLEAD_CLUSTER names a folder with `start-control-plane.sh`, `stop-control-plane.sh` and
//! `common.sh`, which start a control plane without nodes. Nodes here are only objects.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control_plane;

use std::time::Duration;

use control_plane::ControlPlane;
use fairlead_api::{Connection, Options, Watch, WatchOptions, connect, watch};
use fairlead_controller::{Config, Dns, Ipam, Status};
use fairlead_model::{Event, Object};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/fairlead.yaml");

/// Asks again until it is so, or fails after half a minute with what it was last.
fn until<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let seen = look();
        if good(&seen) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn on_a_real_api_server_the_manifest_the_watches_and_the_controller_work() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.kubectl(&["apply", "--validate=strict", "-f", MANIFEST]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut watch =
        runtime.block_on(agents_watches_are_in_sync_with_the_manifests_rights(&cluster));
    runtime.block_on(a_wrong_server_is_named(&cluster));
    nodes_get_ranges_and_the_dns_service_is_made(&cluster, &runtime);
    runtime.block_on(the_watches_outlive_the_api_server(&cluster, &mut watch));
}

/// Connects as a pod on a node does: by the kubelet's server, with a service account's token.
async fn connect_as(cluster: &ControlPlane, account: &str) -> (Connection, tempfile::TempDir) {
    let (root, options) = node_files(cluster, account);
    let connection = connect(&options).await.expect("a connection");
    assert_eq!(connection.found_by, "the kubelet's /etc/kubernetes/kubelet.conf");
    assert!(connection.version.starts_with("v1."), "{connection:?}");
    (connection, root)
}

fn node_files(cluster: &ControlPlane, account: &str) -> (tempfile::TempDir, Options) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/kubernetes");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::copy(&cluster.kubeconfig, path.join("kubelet.conf")).unwrap();
    let token = cluster.kubectl(&["-n", "kube-system", "create", "token", account]);
    std::fs::write(root.path().join("token"), token.trim()).unwrap();
    std::fs::copy(&cluster.ca, root.path().join("ca.crt")).unwrap();
    let options = Options {
        host_root: Some(root.path().into()),
        // Dead, as on a node without kube-proxy.
        environment: Some(("192.0.2.254".into(), "443".into())),
        service_account: root.path().into(),
        ..Options::default()
    };
    (root, options)
}

async fn agents_watches_are_in_sync_with_the_manifests_rights(cluster: &ControlPlane) -> Watch {
    let (connection, _root) = connect_as(cluster, "fairlead-agent").await;
    let options = WatchOptions { node_name: Some("n1".into()), ..WatchOptions::default() };
    let mut watch = watch(&connection.client, &options);
    let mut kubernetes = false;
    let sync = async {
        let mut missing = options.kinds.len();
        while missing > 0 {
            match watch.events.recv().await.expect("the watches go on") {
                Event::Apply(Object::Service(s)) => {
                    kubernetes |= s.name.to_string() == "default/kubernetes";
                }
                Event::Synced(_) => missing -= 1,
                _ => {}
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), sync).await;
    assert!(in_time.is_ok(), "not in sync: {:?}", watch.health.snapshot());
    assert!(kubernetes, "the watch of Services told of default/kubernetes");
    watch
}

async fn a_wrong_server_is_named(cluster: &ControlPlane) {
    let (root, mut options) = node_files(cluster, "fairlead-agent");
    let conf = root.path().join("etc/kubernetes/kubelet.conf");
    std::fs::write(&conf, "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]")
        .unwrap();
    options.timeout = Duration::from_millis(500);
    let error = connect(&options).await.unwrap_err().to_string();
    for part in ["https://127.0.0.1:1: ", "refused", "https://192.0.2.254", "Set apiServer"] {
        assert!(error.contains(part), "{part} in: {error}");
    }
    std::fs::copy(&cluster.kubeconfig, conf).unwrap();
    std::fs::write(root.path().join("token"), "nonsense").unwrap();
    let error = connect(&options).await.unwrap_err().to_string();
    assert!(error.contains("does not accept this service account's token"), "{error}");
}

fn nodes_get_ranges_and_the_dns_service_is_made(
    cluster: &ControlPlane,
    runtime: &tokio::runtime::Runtime,
) {
    cluster.make_service("default", "squatter", "10.96.0.10");
    for node in ["n1", "n2"] {
        cluster.make_node(node);
    }
    let (connection, _root) = runtime.block_on(connect_as(cluster, "fairlead-controller"));
    let config = Config {
        identity: "test-1".into(),
        namespace: "kube-system".into(),
        ipam: Ipam {
            cluster_cidrs: vec!["10.9.0.0/23".parse().unwrap(), "fd00:9::/56".parse().unwrap()],
            ..Ipam::default()
        },
        dns: Dns::default(),
    };
    let (status, seen) = tokio::sync::watch::channel(Status::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let controller =
        runtime.spawn(fairlead_controller::run(connection.client, config, status, async {
            let _ = stopped.await;
        }));

    let cidrs =
        |node: &str| cluster.kubectl(&["get", "node", node, "-o=jsonpath={.spec.podCIDRs}"]);
    let given = |text: &String| !text.is_empty();
    until("n1's CIDRs", || cidrs("n1"), given);
    until("n2's CIDRs", || cidrs("n2"), given);
    assert_eq!(cidrs("n1"), r#"["10.9.0.0/24","fd00:9::/64"]"#);
    assert_eq!(cidrs("n2"), r#"["10.9.1.0/24","fd00:9:0:1::/64"]"#);
    cluster.make_node("n3");
    let events = |what: &str| cluster.kubectl(&["get", "events", "-A", "--field-selector", what]);
    until("an Event about n3", || events("involvedObject.name=n3"), |e| e.contains("no pod CIDR"));
    assert_eq!(seen.borrow().nodes_without_cidr, 1);
    assert!(cluster.kubectl(&["describe", "node", "n3"]).contains("CIDRNotAvailable"));
    cluster.kubectl(&["delete", "node", "n1"]);
    until("n3's CIDRs", || cidrs("n3"), |c| c == r#"["10.9.0.0/24","fd00:9::/64"]"#);

    let taken = || events("involvedObject.name=kube-dns");
    until("an Event about kube-dns", taken, |e| e.contains("is that of Service default/squatter"));
    cluster.kubectl(&["delete", "service", "squatter"]);
    let dns = || {
        cluster.kubectl(&[
            "-n",
            "kube-system",
            "get",
            "service",
            "--ignore-not-found",
            "kube-dns",
            "-o=jsonpath={.spec.clusterIPs[*]} {.spec.ports[*].name} {.metadata.labels.k8s-app}",
        ])
    };
    let made = |text: &String| text == "10.96.0.10 fd00:96::a dns dns-tcp kube-dns";
    until("kube-dns", dns, made);
    cluster.kubectl(&["-n", "kube-system", "delete", "service", "kube-dns"]);
    until("kube-dns, again", dns, made);

    let holder = || {
        cluster.kubectl(&[
            "-n",
            "kube-system",
            "get",
            "lease",
            "fairlead-controller",
            "-o=jsonpath={.spec.holderIdentity}",
        ])
    };
    assert_eq!(holder(), "test-1");
    stop.send(()).unwrap();
    runtime.block_on(controller).unwrap().unwrap();
    assert_eq!(holder(), "", "the Lease is given back");
}

async fn the_watches_outlive_the_api_server(cluster: &ControlPlane, watch: &mut Watch) {
    let wait = Duration::from_secs(60);
    let told = |watch: &mut Watch| while watch.events.try_recv().is_ok() {};
    told(watch);
    cluster.kill_api_server();
    let mut health = watch.health.clone();
    let lost = async { while health.all_connected() && health.changed().await {} };
    tokio::time::timeout(wait, lost).await.expect("the watches notice");
    cluster.start_api_server();
    cluster.make_service("default", "after", "10.96.0.77");
    let after = async {
        loop {
            match watch.events.recv().await.expect("the watches go on") {
                Event::Apply(Object::Service(s)) if s.name.name == "after" => return,
                // With or without a new list: a server that has just started knows no old versions.
                _ => {}
            }
        }
    };
    tokio::time::timeout(wait, after).await.expect("the Service made after the outage");
}
