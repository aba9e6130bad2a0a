//! Compiles `bpf/` with clang into one object, which the crate embeds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Newest first; `CLANG` overrides.
const COMPILERS: &[&str] = &[
    "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang",
    "clang-15", "clang-14",
];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let source = manifest.join("../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("fairlead.bpf.o");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").ok().or_else(find).unwrap_or_else(|| {
        panic!("clang was not found: install clang 14 or newer (Debian and Ubuntu: apt-get install clang libbpf-dev), or set CLANG to its path")
    });
    compile(&clang, &source, &out);
}

fn find() -> Option<String> {
    COMPILERS
        .iter()
        .find(|c| Command::new(c).arg("--version").output().is_ok_and(|o| o.status.success()))
        .map(|c| (*c).to_owned())
}

fn compile(clang: &str, source: &Path, out: &Path) {
    let mut command = Command::new(clang);
    command
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"])
        .args(["-Wno-unused-parameter", "-Wno-missing-field-initializers"])
        // the headers of the kernel's API are in the multiarch folder, whatever we build for
        .args(multiarch().map(|dir| format!("-I{dir}")))
        // no paths of the building machine in the object: the same source gives the same bytes
        .arg(format!("-ffile-prefix-map={}=bpf", source.display()))
        .arg("-c")
        .arg(source.join("fairlead.bpf.c"))
        .arg("-o")
        .arg(out);
    let status = command.status().unwrap_or_else(|e| panic!("{clang} could not be run: {e}"));
    assert!(
        status.success(),
        "{clang} could not compile bpf/: it needs the bpf target and the headers of libbpf (Debian and Ubuntu: apt-get install clang libbpf-dev)"
    );
}

fn multiarch() -> Option<&'static str> {
    ["/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu"]
        .into_iter()
        .find(|dir| Path::new(dir).join("asm/types.h").exists())
}
