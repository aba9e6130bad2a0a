//! `cargo xtask image`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::oci::About;
use crate::reference::Reference;
use crate::{compile, elf, layer, oci};

const PROGRAMS: [&str; 2] = ["fairlead", "fairlead-cni"];

/// Builds the programs and writes the archive to `out`.
pub fn run(out: &Path, reference: &Reference) -> Result<()> {
    let mut programs = Vec::new();
    for (name, path) in PROGRAMS.into_iter().zip(compile::release(&PROGRAMS)?) {
        let content =
            fs::read(&path).with_context(|| format!("{} is not readable", path.display()))?;
        elf::check_static(&content)
            .with_context(|| format!("{} is not fit for an empty image", path.display()))?;
        println!("{name:<13} {:>9}, static", mebibytes(content.len()));
        programs.push((name, content));
    }
    let about = About {
        reference,
        source: env!("CARGO_PKG_REPOSITORY"),
        version: env!("CARGO_PKG_VERSION"),
        licenses: "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
    };
    let archive = oci::archive(&layer::build(&programs)?, &about)?;
    write(out, &archive)?;
    println!("{} is {} ({})", reference.full, out.display(), mebibytes(archive.len()));
    Ok(())
}

/// Replaces `out` in one step, so that nobody imports half of an archive.
fn write(out: &Path, archive: &[u8]) -> Result<()> {
    let partial = out.with_extension("tar.partial");
    if let Some(directory) = out.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    fs::write(&partial, archive)
        .and_then(|()| fs::rename(&partial, out))
        .with_context(|| format!("{} cannot be written", out.display()))
}

fn mebibytes(bytes: usize) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
