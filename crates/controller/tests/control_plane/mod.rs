//! A control plane of its own for a test, by the scripts in FAIRLEAD_CLUSTER.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub struct ControlPlane {
    scripts: PathBuf,
    kubectl: PathBuf,
    api_server_pid: PathBuf,
    pub kubeconfig: PathBuf,
    pub ca: PathBuf,
}

impl ControlPlane {
    /// Starts an empty one whose controller manager gives nodes no CIDRs. `None`, loudly, where the
    /// scripts are not named or one is running already.
    pub fn start() -> Option<Self> {
        let Some(scripts) = std::env::var_os("FAIRLEAD_CLUSTER").map(PathBuf::from) else {
            eprintln!("SKIPPED: FAIRLEAD_CLUSTER does not name the folder of a cluster's scripts");
            return None;
        };
        let common = scripts.join("common.sh");
        let say = format!(
            ". '{}'; echo $KCONF; echo $PKI/ca.crt; echo $RUN/pid; echo $BIN",
            common.display()
        );
        let lines = run(Command::new("bash").args(["-c", &say]), "");
        let [kubeconfig, ca, pids, bin] = lines.lines().collect::<Vec<_>>()[..] else {
            panic!("{lines}");
        };
        let api_server_pid = PathBuf::from(pids).join("kube-apiserver");
        if api_server_pid.exists() {
            eprintln!(
                "SKIPPED: a control plane is running already, and this test needs an empty one"
            );
            return None;
        }
        let cluster = Self {
            kubectl: PathBuf::from(bin).join("kubectl"),
            kubeconfig: kubeconfig.into(),
            ca: ca.into(),
            api_server_pid,
            scripts,
        };
        cluster.start_api_server();
        Some(cluster)
    }

    /// Starts what is not running; the data of an earlier cluster is forgotten only when all is down.
    pub fn start_api_server(&self) {
        run(
            Command::new(self.scripts.join("start-control-plane.sh"))
                .env("FRESH", "1")
                .env("SVC_CIDR", "10.96.0.0/16,fd00:96::/112")
                .env("EXTRA_KCM_ARGS", "--allocate-node-cidrs=false"),
            "",
        );
    }

    pub fn kill_api_server(&self) {
        let pid = std::fs::read_to_string(&self.api_server_pid).expect("a pid file");
        run(Command::new("kill").args(["-9", pid.trim()]), "");
        // Its command line is empty once it has ended, also while nobody has waited for it.
        let command = PathBuf::from("/proc").join(pid.trim()).join("cmdline");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::fs::read(&command).is_ok_and(|line| !line.is_empty()) {
            assert!(std::time::Instant::now() < deadline, "kube-apiserver does not end");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::fs::remove_file(&self.api_server_pid).expect("a pid file");
    }

    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with(args, "")
    }

    fn kubectl_with(&self, args: &[&str], stdin: &str) -> String {
        run(Command::new(&self.kubectl).arg("--kubeconfig").arg(&self.kubeconfig).args(args), stdin)
    }

    pub fn make_node(&self, name: &str) {
        let node = format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}");
        self.kubectl_with(&["create", "-f", "-"], &node);
    }

    pub fn make_service(&self, namespace: &str, name: &str, address: &str) {
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, \
             spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}}}"
        );
        self.kubectl_with(&["create", "-f", "-"], &service);
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let script = self.scripts.join("stop-control-plane.sh");
        let _ = Command::new(script).env("PURGE", "1").status();
    }
}

/// Runs it to its end. Its output goes through a file: what the scripts leave running keeps pipes
/// open.
fn run(command: &mut Command, stdin: &str) -> String {
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(out.reopen().unwrap())
        .stderr(out.reopen().unwrap())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).unwrap();
    let status = child.wait().unwrap();
    let text = std::fs::read_to_string(out.path()).unwrap();
    assert!(status.success(), "{command:?}: {text}");
    text
}
