//! Hash maps as tables: made equal to what is wanted, by writing the difference.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError};

use crate::Error;
use crate::contract::{Node, NodeKey};

/// What a table must offer to be synchronised.
pub trait Table<K, V> {
    fn entries(&self) -> Result<BTreeMap<K, V>, Error>;
    /// Writes one.
    fn put(&mut self, key: &K, value: &V) -> Result<(), Error>;
    /// Removes one; not there is fine.
    fn remove(&mut self, key: &K) -> Result<(), Error>;
}

/// How many entries were written and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New or changed entries.
    pub written: usize,
    /// Entries that are no longer wanted.
    pub removed: usize,
}

/// Makes the table equal to `wanted`. Entries for which `same` holds are left alone.
pub fn sync<K: Ord + Clone + Debug, V: Clone>(
    table: &mut impl Table<K, V>,
    wanted: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> Result<Changes, Error> {
    let actual = table.entries()?;
    let mut changes = Changes::default();
    for (key, value) in wanted {
        if !actual.get(key).is_some_and(|there| same(there, value)) {
            table.put(key, value)?;
            changes.written += 1;
        }
    }
    for key in actual.keys().filter(|key| !wanted.contains_key(key)) {
        table.remove(key)?;
        changes.removed += 1;
    }
    Ok(changes)
}

fn gone_is_fine(map: &'static str, result: Result<(), MapError>) -> Result<(), Error> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(e) => Err(Error::map(map, "remove", describe(&e))),
    }
}

pub(crate) fn describe(e: &MapError) -> String {
    match e {
        MapError::SyscallError(e) => format!("{}: {}", e.call, e.io_error),
        e => e.to_string(),
    }
}

/// A plain hash map.
#[derive(Debug)]
pub struct Hash<K, V> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod + Ord, V: Pod> Hash<K, V> {
    pub(crate) fn new(name: &'static str, map: HashMap<MapData, K, V>) -> Self {
        Hash { name, map }
    }

    /// One entry.
    pub fn get(&self, key: &K) -> Option<V> {
        self.map.get(key, 0).ok()
    }

    /// All entries. Entries that come or go meanwhile may be missed.
    pub fn entries(&self) -> Result<BTreeMap<K, V>, Error> {
        let entries: Result<_, _> = self.map.iter().collect();
        entries.map_err(|e| Error::map(self.name, "list", describe(&e)))
    }

    /// Writes one entry.
    pub fn put(&mut self, key: &K, value: &V) -> Result<(), Error> {
        self.map.insert(key, value, 0).map_err(|e| Error::map(self.name, "write", describe(&e)))
    }

    /// Removes one entry.
    pub fn remove(&mut self, key: &K) -> Result<(), Error> {
        gone_is_fine(self.name, self.map.remove(key))
    }
}

impl<K: Pod + Ord, V: Pod> Table<K, V> for Hash<K, V> {
    fn entries(&self) -> Result<BTreeMap<K, V>, Error> {
        Hash::entries(self)
    }

    fn put(&mut self, key: &K, value: &V) -> Result<(), Error> {
        Hash::put(self, key, value)
    }

    fn remove(&mut self, key: &K) -> Result<(), Error> {
        Hash::remove(self, key)
    }
}

const NODES: &str = "fl_nodes";

/// `fl_nodes`.
#[derive(Debug)]
pub struct Nodes {
    map: LpmTrie<MapData, [u8; 16], Node>,
}

impl Nodes {
    pub(crate) fn new(map: LpmTrie<MapData, [u8; 16], Node>) -> Self {
        Nodes { map }
    }
}

fn lpm_key(key: &NodeKey) -> Key<[u8; 16]> {
    Key::new(key.prefix_len, key.addr)
}

impl Table<NodeKey, Node> for Nodes {
    fn entries(&self) -> Result<BTreeMap<NodeKey, Node>, Error> {
        self.map
            .iter()
            .map(|entry| {
                entry.map(|(key, node)| {
                    (NodeKey { prefix_len: key.prefix_len(), addr: key.data() }, node)
                })
            })
            .collect::<Result<_, _>>()
            .map_err(|e| Error::map(NODES, "list", describe(&e)))
    }

    fn put(&mut self, key: &NodeKey, value: &Node) -> Result<(), Error> {
        self.map
            .insert(&lpm_key(key), value, 0)
            .map_err(|e| Error::map(NODES, "write", describe(&e)))
    }

    fn remove(&mut self, key: &NodeKey) -> Result<(), Error> {
        gone_is_fine(NODES, self.map.remove(&lpm_key(key)))
    }
}
