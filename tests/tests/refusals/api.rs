//! API servers that are not there, or do not want us: said once, shown by status, tried again.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Duration;

use fairlead_tests::{Host, Node, agent_binary, eventually};
use serde_json::json;

use crate::{enter, readable};

const SOON: Duration = Duration::from_secs(10);

/// A server that answers every request with the status in its argument (Debian's smallest Perl).
const SERVER: &str = r#"use IO::Socket::INET; $SIG{PIPE}="IGNORE";
my $s = IO::Socket::INET->new(LocalAddr=>"127.0.0.1:8001", Listen=>64, ReuseAddr=>1) or die $!;
while (my $c = $s->accept) { if (fork) { close $c; next }
  my $n = 0; while (<$c>) { next unless /^\r?$/;
    my $b = qq({"kind":"Status","apiVersion":"v1","status":"Failure","message":"go away","code":$ARGV[0]});
    print $c "HTTP/1.1 $ARGV[0] No\r\nContent-Type: application/json\r\nContent-Length: ".length($b)."\r\n\r\n$b"; $c->flush } exit }"#;

/// A process that is killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(node: &Node, status: &str) -> Killed {
    let mut command = node.place().command("perl");
    let server = Killed(command.args(["-e", SERVER, status]).spawn().unwrap());
    let up = || node.exec(&["sh", "-c", "ss -ltn | grep -q 127.0.0.1:8001"]).ok();
    assert!(eventually(SOON, up));
    server
}

fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {"token": "secret-token"}}],
    })
    .to_string()
}

/// Starts an agent with this kubeconfig (none: it looks for one) and waits until status and log say
/// these words, in one line of the log however often it tries.
#[track_caller]
fn told(node: &Node, what: &str, kubeconfig: Option<&str>, words: &[&str]) {
    let (config, log) = (node.config_path(), node.config_path().with_file_name("api.log"));
    std::fs::write(&config, node.config().unwrap().to_string()).unwrap();
    let mut command = node.place().command(agent_binary().unwrap());
    command.args(["agent", "--node-name", "n1", "--config"]).arg(&config);
    if let Some(text) = kubeconfig {
        let path = config.with_file_name("kubeconfig");
        std::fs::write(&path, text).unwrap();
        command.arg("--kubeconfig").arg(if text.is_empty() { "/nowhere".into() } else { path });
    }
    // nothing of the machine's own: it may be a node
    command.args(["--host-root", "/mnt"]).env_clear();
    let stderr = File::create(&log).unwrap();
    let agent = Killed(command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap());
    let api = || match node.path("/run/fairlead/agent.sock").exists() {
        true => serde_json::from_str(&node.fairlead(&["status", "-o", "json"]).unwrap().stdout),
        false => Ok(json!(null)),
    };
    let mut said = String::new();
    let shown = eventually(SOON, || {
        let status: serde_json::Value = api().unwrap_or_default();
        said = status["api"]["error"].as_str().unwrap_or_default().to_owned();
        words.iter().all(|word| said.contains(word))
    });
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(shown, "{what}: {words:?} not in: {said}\n{text}");
    eprintln!("{what}: {said}");
    readable(what, &said);
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(&log).unwrap();
        let bad = text.lines().filter(|l| l.contains(" WARN ") || l.contains(" ERROR "));
        bad.map(|l| l.split_once("Z ").unwrap().1.to_owned()).collect()
    };
    assert!(lines().iter().any(|line| words.iter().all(|w| line.contains(w))), "{what}: {text}");
    // it tries again after a quarter of a second, half a second, a second
    let twice = || {
        let (lines, mut seen) = (lines(), BTreeSet::new());
        !lines.into_iter().all(|line| seen.insert(line))
    };
    assert!(!eventually(Duration::from_secs(1), twice), "{what}: said twice: {:#?}", lines());
    assert!(!text.contains("secret-token"), "{text}");
    assert_eq!(node.fairlead(&["status"]).unwrap().code, 2);
    drop(agent);
}

#[test]
fn an_api_server_that_does_not_answer_is_told_once_and_tried_again() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let ways = "apiServer";
    told(node, "nothing to find", None, &["no API server found", "kubelet", ways]);
    told(node, "no file", Some(""), &["/nowhere", "No such file", ways]);
    told(node, "no kubeconfig", Some("nonsense"), &["kubeconfig", ways]);
    let nobody = kubeconfig("https://127.0.0.1:8001");
    told(node, "nobody there", Some(&nobody), &["https://127.0.0.1:8001", "refused", ways]);
    let plain = node.start("tcp-echo-server 127.0.0.1:8001 x");
    told(node, "no TLS", Some(&nobody), &["https://127.0.0.1:8001", "no TLS", ways]);
    drop(plain);
    let server = kubeconfig("http://127.0.0.1:8001");
    let refusing = serve(node, "401");
    told(node, "401", Some(&server), &["does not accept", "401"]);
    drop(refusing);
    let _refusing = serve(node, "403");
    told(node, "403", Some(&server), &["go away", "RBAC", "deploy/fairlead.yaml"]);
}
