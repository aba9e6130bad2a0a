//! Chores that are more than one command: `cargo xtask help` lists them.
//!
//! `image` is [`image`] (what is built and told), made of [`compile`] (cargo), [`elf`] (is it
//! static?), [`layer`] (the file system) and [`oci`] (the archive).

mod aarch64;
mod compile;
mod elf;
mod image;
mod layer;
mod oci;
mod reference;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::reference::Reference;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Fairlead workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build both programs statically and write them as an image archive
    ///
    /// Needs no container engine. The same programs give the same bytes. The archive is an OCI
    /// image layout that `docker load`, `podman load` and `ctr -n k8s.io images import` read.
    /// Needs the Rust target x86_64-unknown-linux-musl and, on Debian and Ubuntu, musl-tools.
    Image {
        /// The file to write [default: target/fairlead-image.tar in the workspace]
        #[arg(long)]
        out: Option<PathBuf>,
        /// The image's name, as pod specs write it
        #[arg(long, default_value = concat!("ghcr.io/fairlead/fairlead:", env!("CARGO_PKG_VERSION")))]
        tag: Reference,
    },
    /// Check that the workspace compiles for aarch64
    ///
    /// Runs `cargo check --workspace` for aarch64-unknown-linux-musl. Needs that Rust target
    /// (rustup target add aarch64-unknown-linux-musl) and a C compiler for it, because ring
    /// compiles C and assembly: clang with the headers of musl-tools, which need not be aarch64's,
    /// since nothing is linked or run. Another compiler is taken from
    /// CC_aarch64_unknown_linux_musl and CFLAGS_aarch64_unknown_linux_musl.
    CheckAarch64,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Image { out, tag } => {
            let out = out.unwrap_or_else(|| compile::root().join("target/fairlead-image.tar"));
            image::run(&out, &tag)
        }
        Task::CheckAarch64 => aarch64::run(),
    }
}
