//! `cargo xtask check-aarch64`.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::compile::{cargo, has_program, missing_target};

const TARGET: &str = "aarch64-unknown-linux-musl";
const COMPILER: &str = "CC_aarch64_unknown_linux_musl";
const FLAGS: &str = "CFLAGS_aarch64_unknown_linux_musl";
/// Where musl-tools puts its headers (by way of musl-dev): the host's, whose types are the same.
const HEADERS: &str = "/usr/include/x86_64-linux-musl";
const CLANGS: [&str; 4] = ["clang-19", "clang-20", "clang-18", "clang"];

/// Checks every crate for aarch64.
pub fn run() -> Result<()> {
    if let Some(advice) = missing_target(TARGET)? {
        bail!("checking for aarch64 needs {advice}");
    }
    let mut command = cargo();
    command.args(["check", "--workspace", "--locked", "--target", TARGET]);
    if env::var_os(COMPILER).is_none() {
        use_clang(&mut command)?;
    }
    if command.status().context("cargo does not start")?.success() {
        return Ok(());
    }
    bail!("the workspace does not compile for {TARGET}: see above")
}

/// Lets clang compile C for aarch64, with whatever headers of musl are here.
fn use_clang(command: &mut Command) -> Result<()> {
    let clang = CLANGS.into_iter().find(|name| has_program(name));
    let (Some(clang), true) = (clang, Path::new(HEADERS).is_dir()) else {
        bail!(
            "checking for aarch64 needs clang and {HEADERS} (apt-get install clang musl-tools), \
             or a compiler of your own in {COMPILER}"
        );
    };
    command.env(COMPILER, clang);
    command.env(FLAGS, format!("--target=aarch64-linux-musl -nostdlibinc -isystem {HEADERS}"));
    Ok(())
}
