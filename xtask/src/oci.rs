//! An image archive that every runtime reads: an OCI image layout (image-spec v1.1) in a tar, with
//! the `manifest.json` of docker's older format that points to the same blobs.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use crate::layer::{Layer, append};
use crate::reference::Reference;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// No image is younger than its sources, and a real date would change the bytes.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What the image says about itself.
pub struct About<'a> {
    /// The name under which it is imported.
    pub reference: &'a Reference,
    /// Where its sources are.
    pub source: &'a str,
    /// The programs' version.
    pub version: &'a str,
    /// An SPDX expression.
    pub licenses: &'a str,
}

/// The archive's bytes.
pub fn archive(layer: &Layer, about: &About<'_>) -> Result<Vec<u8>> {
    let config = serde_json::to_vec(&config(layer, about))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer.compressed)],
    }))?;
    let mut entry = descriptor(MANIFEST, &manifest);
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    entry["annotations"] = json!({
        "io.containerd.image.name": about.reference.full,
        "org.opencontainers.image.ref.name": about.reference.tag,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [about.reference.full],
        "Layers": [blob_path(&layer.compressed)],
    }]);

    let mut files = vec![
        (blob_path(&config), config),
        (blob_path(&manifest), manifest),
        (blob_path(&layer.compressed), layer.compressed.clone()),
        ("index.json".to_owned(), serde_json::to_vec(&index)?),
        ("manifest.json".to_owned(), serde_json::to_vec(&docker)?),
        ("oci-layout".to_owned(), serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?),
    ];
    files.sort();

    let mut builder = Builder::new(Vec::new());
    for directory in ["blobs", "blobs/sha256"] {
        append(&mut builder, directory, EntryType::Directory, 0o755, &[])?;
    }
    for (path, content) in &files {
        append(&mut builder, path, EntryType::Regular, 0o644, content)?;
    }
    Ok(builder.into_inner()?)
}

fn config(layer: &Layer, about: &About<'_>) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {
            "Entrypoint": ["/fairlead"],
            // For `kubectl exec … -- fairlead status`.
            "Env": ["PATH=/"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "fairlead",
                "org.opencontainers.image.source": about.source,
                "org.opencontainers.image.version": about.version,
                "org.opencontainers.image.licenses": about.licenses,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer.tar)]},
        "history": [{"created": CREATED, "created_by": "cargo xtask image"}],
    })
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn blob_path(content: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(content))
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "oci_tests.rs"]
mod tests;
