//! hack/check-invariants finds what it is there for: each test builds a small tree with one breach.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A tree of `files` (path and content), and what the script says of it: success and output.
fn check(files: &[(&str, &str)]) -> (bool, String) {
    let tree = TempDir::new().unwrap();
    for (path, content) in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/check-invariants");
    let output = Command::new(script).arg(tree.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn assert_clean(files: &[(&str, &str)]) {
    let (success, said) = check(files);
    assert!(success && said.is_empty(), "{said}");
}

/// Asserts that the script finds one breach, and begins it with `place`.
fn assert_breach(files: &[(&str, &str)], place: &str) {
    let (success, said) = check(files);
    assert!(!success, "nothing was found");
    assert!(said.starts_with(place) && said.lines().count() == 1, "{said}");
}

const PURE: &str = "crates/services/Cargo.toml";
const SOURCE: &str = "crates/services/src/lib.rs";

#[test]
fn a_tree_without_a_breach_is_clean() {
    assert_clean(&[
        (PURE, "[dependencies]\nfairlead-model.workspace = true\nk8s-openapi = \"1\"\n"),
        ("crates/datapath/Cargo.toml", "[dependencies]\naya.workspace = true\n"),
        ("crates/link/Cargo.toml", "[dependencies]\nrtnetlink = \"1\"\n"),
        ("crates/api/Cargo.toml", "[dependencies]\nkube = \"1\"\n"),
        ("crates/fairlead/src/main.rs", "fn main() { std::env::var(\"NODE\"); }\n"),
        ("crates/cni/src/bin/fairlead-cni.rs", "fn main() { std::env::var(\"CNI_COMMAND\"); }\n"),
        (SOURCE, "//! Not for tokio::spawn.\nfn f() {}\n"),
    ]);
}

#[test]
fn a_pure_crate_may_use_a_runtime_only_in_its_tests() {
    assert_clean(&[(PURE, "[dev-dependencies]\ntokio = \"1\"\n")]);
    assert_breach(&[(PURE, "[dependencies]\ntokio-stream = \"1\"\n")], PURE);
    assert_breach(&[(PURE, "[dependencies.tokio]\nversion = \"1\"\n")], PURE);
    assert_breach(&[(PURE, "[target.'cfg(unix)'.dependencies]\ntokio.workspace = true\n")], PURE);
}

#[test]
fn a_pure_crate_depends_on_no_other_crate_of_ours_than_the_model() {
    assert_breach(&[(PURE, "[dependencies]\nfairlead-link.workspace = true\n")], PURE);
}

#[test]
fn pure_code_names_no_runtime() {
    assert_breach(&[(SOURCE, "fn f() {}\nuse tokio::sync;\n")], "crates/services/src/lib.rs:2");
    assert_breach(
        &[("crates/dns/src/core/name.rs", "use kube;\n")],
        "crates/dns/src/core/name.rs:1",
    );
    assert_breach(&[("crates/dns/src/core.rs", "use ::aya::Ebpf;\n")], "crates/dns/src/core.rs:1");
    assert_clean(&[("crates/dns/src/server.rs", "use tokio::net;\n")]);
}

#[test]
fn a_library_of_the_kernel_or_the_cluster_belongs_to_one_crate() {
    for dependency in
        ["aya", "aya-obj", "rtnetlink", "netlink-packet-route", "kube", "kube-runtime"]
    {
        let manifest = format!("[dev-dependencies]\n{dependency} = \"1\"\n");
        assert_breach(&[("crates/agent/Cargo.toml", &manifest)], "crates/agent/Cargo.toml");
    }
}

#[test]
fn the_environment_is_read_by_the_binary_alone() {
    let read = "fn f() { std::env::var_os(\"X\"); }\n";
    assert_breach(&[("crates/agent/src/config.rs", read)], "crates/agent/src/config.rs:1");

    let after_tests = format!("#[cfg(test)]\nmod tests {{\n    {read}}}\n{read}");
    assert_breach(&[("crates/agent/src/a.rs", &after_tests)], "crates/agent/src/a.rs:5");
}

#[test]
fn tests_may_ask_the_environment_whether_they_run_in_ci() {
    let read = "fn f() { std::env::var_os(\"CI\"); }\n";
    assert_clean(&[
        ("crates/agent/tests/node.rs", read),
        ("crates/agent/src/lib.rs", "#[cfg(test)]\nmod scratch;\n"),
        ("crates/agent/src/scratch.rs", read),
    ]);
    assert_clean(&[(
        "crates/agent/src/a.rs",
        &format!("#[cfg(test)]\nmod tests {{\n    {read}}}\n"),
    )]);
}

#[test]
fn no_file_names_a_machine() {
    assert_breach(&[("docs/a.md", &["see /ho", "me/me/x\n"].concat())], "docs/a.md:1");
    assert_breach(&[("docs/a.md", &["cp .", "./sha", "red/x .\n"].concat())], "docs/a.md:1");
    assert_clean(&[("docs/a.md", "kubernetes#56903 is a network of networks\n")]);
}
