//! Reads an archive back as a runtime does.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{About, archive};
use crate::layer;

type Files = BTreeMap<String, Vec<u8>>;

fn image(programs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let about = About {
        reference: &"fairlead/fairlead:9.9".parse().unwrap(),
        source: "https://example.org/fairlead",
        version: "9.9",
        licenses: "Apache-2.0",
    };
    archive(&layer::build(programs).unwrap(), &about).unwrap()
}

fn both() -> Vec<(&'static str, Vec<u8>)> {
    vec![("fairlead", vec![7; 100_000]), ("fairlead-cni", b"small".to_vec())]
}

fn files(tar: &[u8]) -> Files {
    let mut archive = tar::Archive::new(tar);
    let mut files = Files::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert!(files.insert(path, content).is_none(), "a path stands twice");
        }
    }
    files
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(files: &Files, path: &str) -> Value {
    serde_json::from_slice(&files[path]).unwrap()
}

/// The blob that a descriptor names, once its digest and size are found right.
fn follow<'a>(files: &'a Files, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let blob = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(sha256(blob), digest);
    assert_eq!(descriptor["size"].as_u64().unwrap(), blob.len() as u64);
    blob
}

#[test]
fn every_descriptor_has_the_digest_and_the_size_of_its_blob() {
    let files = files(&image(&both()));
    let index = read(&files, "index.json");
    let manifest: Value = serde_json::from_slice(follow(&files, &index["manifests"][0])).unwrap();
    let config: Value = serde_json::from_slice(follow(&files, &manifest["config"])).unwrap();
    let compressed = follow(&files, &manifest["layers"][0]);

    let mut tar = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut tar).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&tar)));
    assert_eq!(read(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
    assert_eq!(files.len(), 6, "nothing else is in the archive");
}

#[test]
fn docker_finds_the_same_blobs_by_its_own_manifest() {
    let files = files(&image(&both()));
    let docker = &read(&files, "manifest.json")[0];
    assert_eq!(docker["RepoTags"][0], "docker.io/fairlead/fairlead:9.9");
    for path in [&docker["Config"], &docker["Layers"][0]] {
        assert!(files.contains_key(path.as_str().unwrap()), "{path}");
    }
}

#[test]
fn the_image_is_named_for_containerd_and_for_others() {
    let files = files(&image(&both()));
    let annotations = &read(&files, "index.json")["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/fairlead/fairlead:9.9");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "9.9");
}

#[test]
fn the_same_programs_give_the_same_bytes_and_others_do_not() {
    assert!(image(&both()) == image(&both()));
    let mut other = both();
    other[1].1.push(0);
    assert!(image(&both()) != image(&other));
}

#[test]
fn the_layer_holds_the_programs_and_belongs_to_root() {
    let layer = layer::build(&both()).unwrap();
    let mut modes = BTreeMap::new();
    let mut last = String::new();
    for entry in tar::Archive::new(layer.tar.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mtime().unwrap(), 0);
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        assert!(last < path, "{path} comes after {last}");
        modes.insert(path.clone(), header.mode().unwrap());
        last = path;
    }
    let expected = [
        ("etc", 0o755),
        ("etc/group", 0o644),
        ("etc/nsswitch.conf", 0o644),
        ("etc/passwd", 0o644),
        ("etc/ssl", 0o755),
        ("fairlead", 0o755),
        ("fairlead-cni", 0o755),
        ("run", 0o755),
        ("tmp", 0o1777),
    ];
    assert_eq!(modes, expected.map(|(path, mode)| (path.to_owned(), mode)).into());
    assert_eq!(files(&layer.tar)["fairlead-cni"], b"small");
}
