//! The image's file system: one compressed tar.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// What a path in the image is.
#[derive(Clone, Debug)]
enum Entry {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
}

/// A layer, compressed and not: an image names both digests.
pub struct Layer {
    /// What the archive holds.
    pub compressed: Vec<u8>,
    /// What the configuration's `diff_ids` are computed over.
    pub tar: Vec<u8>,
}

/// The layer with `programs` (name and content) at its root, and the few files that programs and
/// people expect of a root file system.
pub fn build(programs: &[(&str, Vec<u8>)]) -> Result<Layer> {
    let mut entries = skeleton();
    for (name, content) in programs {
        let content = content.clone();
        entries.insert((*name).to_owned(), Entry::File { mode: 0o755, content });
    }
    let tar = archive(&entries)?;
    let compressed = compress(&tar).context("the layer could not be compressed")?;
    Ok(Layer { compressed, tar })
}

fn skeleton() -> BTreeMap<String, Entry> {
    let directory = |path: &str, mode| (path.to_owned(), Entry::Directory { mode });
    let file = |path: &str, text: &str| {
        (path.to_owned(), Entry::File { mode: 0o644, content: text.as_bytes().to_vec() })
    };
    BTreeMap::from([
        directory("etc", 0o755),
        directory("etc/ssl", 0o755),
        directory("run", 0o755),
        directory("tmp", 0o1777),
        file(
            "etc/passwd",
            "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
        ),
        file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ])
}

/// A tar in the order of its paths, so that a directory stands before what is in it.
fn archive(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, entry) in entries {
        let (kind, mode, content) = match entry {
            Entry::Directory { mode } => (EntryType::Directory, *mode, [].as_slice()),
            Entry::File { mode, content } => (EntryType::Regular, *mode, content.as_slice()),
        };
        append(&mut builder, path, kind, mode, content)?;
    }
    builder.into_inner().context("the layer could not be finished")
}

/// Appends an entry that belongs to root and is as old as time, for the same bytes in every build.
pub fn append(
    builder: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(path).with_context(|| format!("'{path}' does not fit a tar header"))?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len().try_into().context("too large for a tar")?);
    header.set_cksum();
    builder.append(&header, content).with_context(|| format!("'{path}' could not be archived"))
}

fn compress(tar: &[u8]) -> std::io::Result<Vec<u8>> {
    // 255 is "unknown" (RFC 1952 section 2.3.1): the building system leaves no trace.
    let mut encoder =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(tar)?;
    encoder.finish()
}
