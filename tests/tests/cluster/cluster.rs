//! A running cluster, by its scripts and kubectl.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::command::{self, Said};
use crate::place::Place;
use crate::scripts::{Scripts, TakeDown};
use crate::topology::Topology;

/// Machines may be busy: how long anything may take that has no deadline of its own.
pub const PATIENCE: Duration = Duration::from_secs(120);

const MANIFEST: &str = include_str!("../../../deploy/fairlead.yaml");

/// It goes when this is dropped.
pub struct Cluster {
    pub topology: Topology,
    scripts: Scripts,
    /// Archives that every node has.
    images: String,
    _down: TakeDown,
}

impl Cluster {
    /// Its control plane and nodes, which wait for their network and have Fairlead's image.
    pub fn start(scripts: &Scripts, topology: &Topology) -> Self {
        let image = std::env::var("FAIRLEAD_IMAGE").expect(
            "FAIRLEAD_IMAGE is not set: the archive that \
             `cargo xtask image --tag ghcr.io/fairlead/fairlead:0.1.0` writes",
        );
        let images = format!("{} {image}", scripts.data("images/*.tar").display());
        scripts.check_nothing_runs();
        let down = TakeDown::at_the_end(scripts);
        let (topology, scripts) = (topology.clone(), scripts.clone());
        let cluster = Self { topology, scripts, images, _down: down };
        cluster.start_control_plane(true).must();
        if !cluster.topology.node_cidrs {
            // Nodes are not up before they have CIDRs.
            cluster.feed("apply", &cluster.manifest()).must();
        }
        for node in cluster.nodes() {
            cluster.start_node(&node);
        }
        cluster
    }

    /// What of the control plane does not run; `fresh`: without the data of an earlier one.
    pub fn start_control_plane(&self, fresh: bool) -> Said {
        let topology = &self.topology;
        let environment = [
            ("FRESH", if fresh { "1" } else { "0" }),
            ("SVC_CIDR", topology.service_cidrs()),
            ("POD_CIDR", topology.pod_cidrs()),
            (
                "EXTRA_KCM_ARGS",
                if topology.node_cidrs { "" } else { "--allocate-node-cidrs=false" },
            ),
        ];
        self.scripts.run("start-control-plane.sh", &environment, PATIENCE)
    }

    /// Returns when the node has pod CIDRs.
    pub fn start_node(&self, node: &str) {
        let addresses = self.topology.node_addresses(node);
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let environment = [("CNI", "none"), ("PROXY", "none"), ("IMAGES", &self.images)];
        let line = format!("start-node.sh {node} {}", addresses.join(" "));
        self.scripts.run(&line, &environment, PATIENCE).must();
    }

    /// As when its power fails.
    pub fn crash_node(&self, node: &str) {
        let line = format!("stop-node.sh {node}");
        self.scripts.run(&line, &[("CRASH", "1")], PATIENCE).must();
    }

    /// One of the scripts, split at spaces.
    pub fn script(&self, line: &str) -> Said {
        self.scripts.run(line, &[], PATIENCE * 2)
    }

    /// A path below the scripts' data folder.
    pub fn data(&self, path: &str) -> std::path::PathBuf {
        self.scripts.data(path)
    }

    pub fn script_path(&self, script: &str) -> String {
        self.scripts.path(script)
    }

    /// `kubectl`, split at spaces.
    pub fn kubectl(&self, line: &str) -> Said {
        command::run(self.kubectl_command(line))
    }

    pub fn kubectl_command(&self, line: &str) -> std::process::Command {
        let kubectl = self.scripts.data("bin/kubectl").display().to_string();
        let kubeconfig = self.scripts.data("admin.kubeconfig").display().to_string();
        command::line(&format!("{kubectl} --kubeconfig {kubeconfig} {line}"), PATIENCE * 2)
    }

    /// `kubectl get … -o json`.
    #[track_caller]
    pub fn get(&self, line: &str) -> Value {
        serde_json::from_str(&self.kubectl(&format!("get {line} -o json")).must()).expect("JSON")
    }

    /// The items of `kubectl get … -o json`.
    #[track_caller]
    pub fn list(&self, line: &str) -> Vec<Value> {
        self.get(line)["items"].as_array().cloned().unwrap_or_default()
    }

    /// `kubectl apply` (or another verb that reads `-f -`) of `manifest`.
    pub fn feed(&self, verb: &str, manifest: &str) -> Said {
        use std::io::Write;
        let mut command = self.kubectl_command(&format!("{verb} -f -"));
        let line = command::typed(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(manifest.as_bytes()).expect("kubectl reads");
        drop(stdin);
        Said::of(child.wait_with_output().expect("kubectl ends"), line)
    }

    /// deploy/fairlead.yaml with this topology's configuration.
    pub fn manifest(&self) -> String {
        let changed = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "deploy/fairlead.yaml has no longer '{from}'");
            text.replacen(from, to, 1)
        };
        let routing = format!("routing: {}", self.topology.routing.as_str());
        let manifest = changed(MANIFEST, "routing: auto", &routing);
        if self.topology.node_cidrs {
            return manifest;
        }
        let cidrs = self.topology.pod_cidrs().replace(',', ", ");
        changed(&manifest, "ipam: {}", &format!("ipam: {{clusterCIDRs: [{cidrs}]}}"))
    }

    pub fn nodes(&self) -> Vec<String> {
        self.topology.node_names()
    }

    /// A node's processes and files.
    pub fn on_node(&self, node: &str) -> Place {
        Place::node(&self.script_path("node-exec.sh"), node)
    }

    /// The state of things after a failure.
    pub fn diagnosis(&self) -> String {
        let lines = [
            "get nodes,pods,services,endpointslices -A -o wide",
            "get events -A --sort-by=.lastTimestamp --field-selector type=Warning",
            "logs -n kube-system -l app=fairlead-agent --prefix --tail=15",
            "logs -n kube-system -l app=fairlead-controller --tail=10",
        ];
        lines.map(|line| self.kubectl(line).whole()).join("\n\n")
    }
}
