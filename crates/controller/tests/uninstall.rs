//! `fairlead uninstall` against a real API server, its garbage collector and its authoriser.
//!
//! As in `cluster.rs` nodes are only objects. A thread does for pods what kubelets do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "what the other tests need of it")]
mod control_plane;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use control_plane::ControlPlane;
use fairlead_api::{Client, Options, connect};
use fairlead_controller::uninstall::{self, Error};
use fairlead_controller::{Config, Dns, Ipam, Status};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/fairlead.yaml");

#[test]
fn on_a_real_api_server_everything_of_the_manifest_goes() {
    let Some(cluster) = ControlPlane::start() else { return };
    for node in ["n1", "n2"] {
        cluster.make_node(node);
        let room = r#"{"cpu":"4","memory":"8Gi","pods":"110"}"#;
        let status = format!(r#"{{"status":{{"capacity":{room},"allocatable":{room}}}}}"#);
        cluster.kubectl(&["patch", "node", node, "--subresource=status", "-p", &status]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when an assertion fails, or the scope waits for the thread for ever.
        let _stop = Stop(&done);
        install(&cluster);
        let (stop, controller) = start_controller(&cluster, &runtime);
        nothing_is_deleted_without_kubelets(&cluster, &runtime);
        scope.spawn(|| be_the_kubelets(&cluster, &done));
        by_the_controllers_rights(&cluster, &runtime);
        stop.send(()).unwrap();
        runtime.block_on(controller).unwrap().unwrap();
        install(&cluster);
        by_an_administrators_rights(&cluster, &runtime);
    });
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn install(cluster: &ControlPlane) {
    cluster.kubectl(&["apply", "-f", MANIFEST]);
    let pods = || names(cluster, "pods -n kube-system -l app=fairlead-agent");
    until("the agents' pods", pods, |pods| pods.len() == 2);
}

fn start_controller(
    cluster: &ControlPlane,
    runtime: &tokio::runtime::Runtime,
) -> (
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<Result<(), fairlead_controller::Error>>,
) {
    let (client, _account) = runtime.block_on(controllers_client(cluster));
    let config = Config {
        identity: "test-1".into(),
        namespace: "kube-system".into(),
        ipam: Ipam::default(),
        dns: Dns::default(),
    };
    let (status, _) = tokio::sync::watch::channel(Status::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let controller = runtime.spawn(fairlead_controller::run(client, config, status, async {
        let _ = stopped.await;
    }));
    until("kube-dns", || left(cluster), |left| left.iter().any(|l| l == "service/kube-dns"));
    (stop, controller)
}

fn nothing_is_deleted_without_kubelets(cluster: &ControlPlane, runtime: &tokio::runtime::Runtime) {
    let before = left(cluster);
    assert!(before.len() > 12, "{before:?}");
    let (client, _account) = runtime.block_on(controllers_client(cluster));
    let options = uninstall::Options { timeout: Duration::from_secs(3), ..fast() };
    let error = runtime.block_on(uninstall::run(client, &options, |_| {})).unwrap_err();
    assert!(matches!(error, Error::NotCleaned { done: 0, desired: 2, .. }), "{error}");
    for part in ["n1 (pod fairlead-agent-", "n2 (pod fairlead-agent-", "kubelet run?"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    assert_eq!(left(cluster), before);
}

fn by_the_controllers_rights(cluster: &ControlPlane, runtime: &tokio::runtime::Runtime) {
    let (client, _account) = runtime.block_on(controllers_client(cluster));
    let mut lines = Vec::new();
    let ended =
        runtime.block_on(uninstall::run(client, &fast(), |line| lines.push(line.to_owned())));
    ended.unwrap_or_else(|e| panic!("{e}: {lines:#?}"));
    assert!(lines.iter().any(|line| line == "2 of 2 nodes cleaned"), "{lines:#?}");
    until("nothing is left", || left(cluster), Vec::is_empty);
}

fn by_an_administrators_rights(cluster: &ControlPlane, runtime: &tokio::runtime::Runtime) {
    let options = Options { kubeconfig: Some(cluster.kubeconfig.clone()), ..Options::default() };
    let client = runtime.block_on(connect(&options)).unwrap().client;
    // As if an earlier run had been interrupted after its last request.
    cluster.kubectl(&["delete", "clusterrole", "fairlead-controller"]);
    runtime.block_on(uninstall::run(client, &fast(), |_| {})).unwrap();
    until("nothing is left", || left(cluster), Vec::is_empty);
}

fn fast() -> uninstall::Options {
    uninstall::Options {
        timeout: Duration::from_secs(60),
        poll: Duration::from_millis(100),
        ..uninstall::Options::default()
    }
}

/// With the rights that the manifest gives, and a token that ends with its account.
async fn controllers_client(cluster: &ControlPlane) -> (Client, tempfile::TempDir) {
    let account = tempfile::tempdir().unwrap();
    let token = cluster.kubectl(&["-n=kube-system", "create", "token", "fairlead-controller"]);
    std::fs::write(account.path().join("token"), token.trim()).unwrap();
    std::fs::copy(&cluster.ca, account.path().join("ca.crt")).unwrap();
    let server = "-o=jsonpath={.clusters[0].cluster.server}";
    let options = Options {
        server: Some(cluster.kubectl(&["config", "view", server])),
        service_account: account.path().into(),
        ..Options::default()
    };
    (connect(&options).await.unwrap().client, account)
}

/// Everything that is Fairlead's.
fn left(cluster: &ControlPlane) -> Vec<String> {
    let namespaced =
        "daemonset,deployment,pod,service,configmap,lease,serviceaccount,role,rolebinding";
    let mut found = names(cluster, &format!("{namespaced} -n kube-system"));
    found.extend(names(cluster, "clusterrole,clusterrolebinding"));
    found.retain(|name| name.contains("fairlead") || name.ends_with("/kube-dns"));
    found
}

fn names(cluster: &ControlPlane, what: &str) -> Vec<String> {
    let mut words = vec!["get", "-o=name"];
    words.extend(what.split(' '));
    cluster.kubectl(&words).lines().map(Into::into).collect()
}

/// Pods of nodes get ready, and end when they are deleted.
fn be_the_kubelets(cluster: &ControlPlane, done: &AtomicBool) {
    let columns = "-o=jsonpath={range .items[*]}{.metadata.name}|{.spec.nodeName}|\
                   {.metadata.deletionTimestamp}|\
                   {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    let ready = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
    while !done.load(Ordering::Relaxed) {
        let pods = cluster.kubectl(&["get", "pods", "-n=kube-system", columns]);
        for pod in pods.lines() {
            let [name, node, deleted, state] = pod.split('|').collect::<Vec<_>>()[..] else {
                panic!("{pod}");
            };
            if !deleted.is_empty() {
                let now = ["--force", "--grace-period=0", "--ignore-not-found"];
                cluster.kubectl(&[&["delete", "pod", "-n=kube-system", name], &now[..]].concat());
            } else if !node.is_empty() && state != "True" {
                let status = ["--subresource=status", "-p", ready];
                cluster.kubectl(&[&["patch", "pod", "-n=kube-system", name], &status[..]].concat());
            }
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Asks again until it is so, or fails after half a minute with what it was last.
fn until<T: std::fmt::Debug>(what: &str, look: impl Fn() -> T, good: impl Fn(&T) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = look();
        if good(&seen) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
