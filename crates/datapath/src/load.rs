//! The object into the kernel: maps from their pins where they fit, programs ready to attach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use aya::maps::{MapError, MapInfo};
use aya::programs::{CgroupSockAddr, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};
use tracing::warn;

use crate::Error;

/// The compiled datapath.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fairlead.bpf.o"));

/// Changes whenever the meaning or the shape of a pinned map does.
pub const LAYOUT: u32 = 1;

/// Maps that are not of the contract with the next run: made anew each time.
const NOT_PINNED: &[&str] = &[".rodata", ".bss", ".data"];

/// How many entries a map can have, where it is not what the object says.
pub type Sizes = BTreeMap<String, u32>;

/// Where things are pinned.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// The pins under a bpffs.
    pub fn new(bpffs: &Path) -> Self {
        Pins { root: bpffs.join("fairlead") }
    }

    /// All of Fairlead's.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The maps of this layout.
    pub fn maps(&self) -> PathBuf {
        self.root.join(format!("maps-v{LAYOUT}"))
    }

    /// The links.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Names of map directories of other layouts.
    pub fn other_layouts(&self) -> Vec<String> {
        let own = format!("maps-v{LAYOUT}");
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("maps-v") && *name != own)
            .collect()
    }
}

/// Loads all programs over the pinned maps, making those that are missing.
pub fn load(pins: &Pins, sizes: &Sizes) -> Result<Ebpf, Error> {
    let names = check_pins(pins, sizes)?;
    let fresh = [pins.root.clone(), pins.maps(), pins.links()].into_iter().find(|d| !d.exists());
    let loaded = load_over(pins, sizes, &names);
    if let (Err(_), Some(dir)) = (&loaded, fresh) {
        // the parent says it all: nothing was there, or nothing of this layout
        let _ = fs::remove_dir_all(dir);
    }
    loaded
}

fn load_over(pins: &Pins, sizes: &Sizes, names: &[String]) -> Result<Ebpf, Error> {
    for dir in [pins.maps(), pins.links()] {
        fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    }
    let mut loader = EbpfLoader::new();
    // the datapath needs no type information of the kernel
    loader.btf(None);
    for name in names {
        loader.map_pin_path(name, pins.maps().join(name));
        if let Some(size) = sizes.get(name) {
            loader.map_max_entries(name, *size);
        }
    }
    let mut ebpf = loader.load(OBJECT).map_err(not_loaded)?;
    for (_, program) in ebpf.programs_mut() {
        let loaded = match program {
            aya::programs::Program::SchedClassifier(p) => SchedClassifier::load(p),
            aya::programs::Program::CgroupSockAddr(p) => CgroupSockAddr::load(p),
            _ => continue,
        };
        loaded.map_err(|e| load_error(e.into()))?;
    }
    Ok(ebpf)
}

fn not_loaded(e: EbpfError) -> Error {
    match e {
        EbpfError::MapError(MapError::CreateError { name, io_error })
            if io_error.kind() != std::io::ErrorKind::PermissionDenied =>
        {
            // bpf(2): E2BIG is a table that no kernel can hold
            let source = match io_error.raw_os_error() {
                Some(libc::E2BIG) => std::io::Error::other("it is too large"),
                _ => io_error,
            };
            Error::MapCreate { name, source }
        }
        e => load_error(e),
    }
}

fn load_error(e: EbpfError) -> Error {
    let mut text = e.to_string();
    let mut source = std::error::Error::source(&e);
    let mut denied = false;
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            denied |= io.kind() == std::io::ErrorKind::PermissionDenied;
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // the verifier answers EACCES too, and then has something to say
    if denied && !text.contains("processed") { Error::Permission } else { Error::Load(text) }
}

/// Names of the maps to pin. aya takes a pinned map as it is: its shape is compared here first.
fn check_pins(pins: &Pins, sizes: &Sizes) -> Result<Vec<String>, Error> {
    let object = aya_obj::Object::parse(OBJECT).map_err(|e| Error::Load(e.to_string()))?;
    check_sizes(&object, sizes)?;
    let mut names = Vec::new();
    for (name, map) in &object.maps {
        if NOT_PINNED.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        names.push(name.clone());
        let path = pins.maps().join(name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path).map_err(|e| Error::Load(e.to_string()))?;
        let found = (
            info.map_type().map(|t| t as u32).unwrap_or(0),
            info.key_size(),
            info.value_size(),
            info.map_flags(),
        );
        let wanted = (map.map_type(), map.key_size(), map.value_size(), map.map_flags());
        if found != wanted {
            let text = |(t, k, v, f)| format!("type {t}, key {k}, value {v} bytes, flags {f:#x}");
            return Err(Error::MapShape { path, found: text(found), wanted: text(wanted) });
        }
        let size = sizes.get(name).copied().unwrap_or_else(|| map.max_entries());
        if info.max_entries() != size && size != 0 {
            warn!(map = %name, found = info.max_entries(), wanted = size,
                "map keeps its size while it is in use; the new one takes effect after a reboot or `fairlead cleanup`");
        }
    }
    Ok(names)
}

/// A size that is meant for no map would pass for one that counts.
fn check_sizes(object: &aya_obj::Object, sizes: &Sizes) -> Result<(), Error> {
    for (name, size) in sizes {
        let Some(map) = object.maps.get(name) else {
            let known = object.maps.keys().filter(|n| !n.starts_with('.')).map(String::as_str);
            let known: Vec<_> = known.collect::<BTreeSet<_>>().into_iter().collect();
            let why = format!("there is no such map; there are {}", known.join(", "));
            return Err(Error::Size { name: name.clone(), why });
        };
        if *size == 0 {
            let why = format!("no map has 0 entries; leave it out for {}", map.max_entries());
            return Err(Error::Size { name: name.clone(), why });
        }
    }
    Ok(())
}
