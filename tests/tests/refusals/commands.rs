//! The commands beside the agent.

use std::time::Duration;

use fairlead_tests::Host;

use crate::{assert_refused, enter, everything, readable};

const READY_IN: Duration = Duration::from_secs(20);

#[test]
fn commands_that_find_no_agent_or_no_sense_say_so() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    let nobody = &["no agent answers on /run/fairlead/agent.sock", "kubectl"];
    let status = node.fairlead(&["status"]).unwrap();
    assert_eq!(status.code, 3, "{status:?}");
    readable("status", &status.stderr);
    assert!(nobody.iter().all(|words| status.stderr.contains(words)), "{status:?}");
    assert_refused("observe", &node.fairlead(&["observe"]).unwrap(), nobody);
    let output = node.fairlead(&["observe", "--protocol", "foo"]).unwrap();
    assert_refused("protocol", &output, &["'foo' is no protocol", "TCP, UDP"]);
    for arguments in [&[][..], &["frob"], &["observe", "--ip", "x"], &["observe", "--port", "-1"]] {
        let output = node.fairlead(arguments).unwrap();
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("Usage: fairlead") || output.stderr.contains("--help"));
    }
    assert_eq!(everything(node), before);
}

#[test]
fn every_command_explains_itself() {
    let Some(lab) = enter() else { return };
    for command in ["agent", "controller", "status", "observe", "uninstall", "cleanup"] {
        let help = lab.node(1).fairlead(&[command, "--help"]).unwrap();
        assert!(help.ok() && help.stdout.contains(&format!("Usage: fairlead {command}")));
        assert!(help.stdout.lines().all(|line| line.len() <= 110), "{}", help.stdout);
    }
}

#[test]
fn cleanup_of_a_node_without_fairlead_is_fine_and_refused_beside_an_agent() {
    let Some(lab) = enter() else { return };
    let node = lab.node(1);
    let before = everything(node);
    for _ in 0..2 {
        let output = node.fairlead(&["cleanup"]).unwrap();
        assert!(output.ok(), "{output:?}");
        assert_eq!(everything(node), before);
    }
    let nobody = node.exec(&[
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "--inh-caps",
        "+dac_read_search",
        "--ambient-caps",
        "+dac_read_search",
        fairlead_tests::agent_binary().unwrap().to_str().unwrap(),
        "cleanup",
    ]);
    assert_refused("not root", &nobody, &["cleanup needs root"]);
    node.start_agent().unwrap();
    node.wait_ready(READY_IN).unwrap();
    let running = everything(node);
    let output = node.fairlead(&["cleanup"]).unwrap();
    assert_refused(
        "beside an agent",
        &output,
        &["an agent runs", "stop it first", "fairlead uninstall"],
    );
    assert_eq!(everything(node), running);
}
