//! Asks cargo for static programs, and says in one line what it lacks for that.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The platform of the image's programs.
pub const TARGET: &str = "x86_64-unknown-linux-musl";

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's root")
}

/// The cargo that runs this program, in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds `programs`, each a package with a binary of the same name, and returns their paths.
pub fn release(programs: &[&str]) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    if !has_program("musl-gcc") {
        missing.push("musl-gcc (apt-get install musl-tools)".to_owned());
    }
    missing.extend(missing_target(TARGET)?);
    if !missing.is_empty() {
        bail!("a static build needs {}; or run hack/install-deps.sh", missing.join(" and "));
    }

    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    command.arg("--message-format=json-render-diagnostics");
    command.env("CARGO_ENCODED_RUSTFLAGS", without_paths()?);
    for program in programs {
        command.args(["--package", program, "--bin", program]);
    }
    let output = command.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo could not build {} for {TARGET}: see above", programs.join(" and "));
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    programs
        .iter()
        .map(|program| {
            executable(&messages, program)
                .with_context(|| format!("cargo built {program} but names no executable for it"))
        })
        .collect()
}

/// Flags by which panic messages name no directory of this machine, so that programs built
/// elsewhere from the same sources are the same.
fn without_paths() -> Result<OsString> {
    let crates = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => env::home_dir().context("neither CARGO_HOME nor HOME is set")?.join(".cargo"),
    };
    let mut flags = OsString::new();
    for (from, to) in [(crates.as_path(), "/cargo"), (root(), "/fairlead")] {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// What to do when the Rust target `target` is not installed.
pub fn missing_target(target: &str) -> Result<Option<String>> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(root())
        .output()
        .context("rustc does not start")?;
    let directory = String::from_utf8_lossy(&output.stdout);
    let installed = fs::exists(directory.trim()).unwrap_or(false);
    Ok((!installed).then(|| format!("the Rust target {target} (rustup target add {target})")))
}

/// Whether `name` is a file in one of PATH's directories.
pub fn has_program(name: &str) -> bool {
    let path: OsString = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// The path of the binary `name` in cargo's JSON messages, one a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(
        |message| {
            let binary =
                message["target"]["name"] == name && message["reason"] == "compiler-artifact";
            if binary { message["executable"].as_str().map(PathBuf::from) } else { None }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_other_artifacts() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"a\"},\"executable\":null}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"b\"},\"executable\":\"/x/b\"}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"a\"},\"executable\":\"/x/a\"}\n",
        );
        assert_eq!(executable(messages, "a"), Some(PathBuf::from("/x/a")));
        assert_eq!(executable(messages, "c"), None);
    }

    #[test]
    fn a_target_that_nobody_has_is_named_with_the_command_that_adds_it() {
        let advice = missing_target("no-such-target").unwrap().unwrap();
        assert!(advice.contains("rustup target add no-such-target"), "{advice}");
    }
}
