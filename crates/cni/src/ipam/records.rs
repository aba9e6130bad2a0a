//! Who has which address: a file an attachment, in a directory that a reboot empties.
//!
//! A file is there before its addresses are handed out, and gone before they are free again; so
//! whenever the agent dies, no address that a pod may have is free after it. What it didn't get to
//! is a record without a pod, which the runtime's DEL or the agent's own comparison removes.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ipnet::IpNet;
use tracing::warn;

use super::record::{Record, Wanted, file_name, name_error};
use super::{Ranges, Usage};
use crate::protocol::Attachment;
use crate::{Error, files};

/// The record that was given last, once it is released: it says where to go on.
const LAST: &str = "last-released";

/// A record has a few hundred bytes.
const RECORD_LIMIT: u64 = 1 << 16;

/// The records of a node, and its addresses.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    ranges: Ranges,
    records: BTreeMap<Attachment, Record>,
    /// The highest sequence number given so far.
    sequence: u64,
}

impl Records {
    /// Reads the records in `dir`. Files that are none are renamed to `….aside`, with a warning.
    ///
    /// The seed says where to begin where no record does, as after a reboot: made of the boot id,
    /// it keeps addresses from being given again at once then too.
    pub fn open(dir: &Path, cidrs: &[IpNet], seed: u64) -> Result<Records, Error> {
        let ranges = Ranges::new(cidrs, seed)?;
        std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
        let records = load(dir)?;
        let mut all = Records { dir: dir.to_path_buf(), ranges, records, sequence: 0 };
        let mut newest_last: Vec<&Record> = all.records.values().collect();
        let last = read(&dir.join(LAST)).ok();
        newest_last.extend(&last);
        newest_last.sort_by_key(|record| record.sequence);
        for record in newest_last {
            all.sequence = record.sequence;
            record.addresses.iter().for_each(|ip| all.ranges.resume_after(ip));
        }
        all.claim();
        Ok(all)
    }

    fn claim(&mut self) {
        for ip in self.records.values().flat_map(|record| record.addresses.iter()) {
            self.ranges.claim(ip);
        }
    }

    /// Gives an attachment its addresses; the same ones again if it has some, since runtimes and
    /// agents retry. When this returns, they are on record.
    pub fn add(&mut self, wanted: Wanted, now: Instant) -> Result<&Record, Error> {
        if let Some(why) = name_error(&wanted.attachment) {
            return Err(Error::Name(why));
        }
        let Wanted { attachment, pod, host_link, mtu } = wanted;
        if !self.records.contains_key(&attachment) {
            let addresses = self.ranges.allocate(now)?;
            let sequence = self.sequence + 1;
            let key = attachment.clone();
            let record = Record { attachment, pod, addresses, host_link, mtu, sequence };
            if let Err(e) = self.write(&record) {
                addresses.iter().for_each(|ip| self.ranges.release(ip, now));
                return Err(e);
            }
            self.sequence = sequence;
            self.records.insert(key.clone(), record);
            return Ok(&self.records[&key]);
        }
        Ok(&self.records[&attachment])
    }

    fn write(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).expect("a record has string keys only");
        files::write_atomic(&self.path(&record.attachment), &text, 0o600)
    }

    /// Frees an attachment's addresses, and returns its record; none where there is none. To be
    /// called when nothing of the attachment is left on the node.
    pub fn release(
        &mut self,
        attachment: &Attachment,
        now: Instant,
    ) -> Result<Option<Record>, Error> {
        let Some(record) = self.records.get(attachment) else { return Ok(None) };
        let path = self.path(attachment);
        if record.sequence == self.sequence && path.exists() {
            let last = self.dir.join(LAST);
            std::fs::rename(&path, last).map_err(Error::file("rename", &path))?;
        } else {
            files::remove(&path)?;
        }
        let record = self.records.remove(attachment);
        let addresses = record.iter().flat_map(|record| record.addresses.iter());
        addresses.for_each(|ip| self.ranges.release(ip, now));
        Ok(record)
    }

    /// The record of an attachment.
    pub fn get(&self, attachment: &Attachment) -> Option<&Record> {
        self.records.get(attachment)
    }

    /// All records, by container id and interface.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Replaces the node's CIDRs. Records of addresses outside of them stay until released.
    pub fn set_cidrs(&mut self, cidrs: &[IpNet]) -> Result<(), Error> {
        self.ranges.replace(cidrs)?;
        self.claim();
        Ok(())
    }

    /// How full each CIDR is.
    pub fn usage(&self) -> Vec<Usage> {
        self.ranges.usage()
    }

    fn path(&self, attachment: &Attachment) -> PathBuf {
        self.dir.join(file_name(attachment))
    }
}

fn load(dir: &Path) -> Result<BTreeMap<Attachment, Record>, Error> {
    let mut records = BTreeMap::new();
    let mut addresses: HashSet<IpAddr> = HashSet::new();
    for name in files::names(dir)? {
        let path = dir.join(&name);
        if files::is_temporary(&name) {
            files::remove(&path)?;
            continue;
        }
        if !name.ends_with(".json") {
            continue;
        }
        let record = read(&path).and_then(|record| {
            if file_name(&record.attachment) != name {
                return Err(Error::Name("its name and its content differ".into()));
            }
            if let Some(ip) = record.addresses.iter().find(|ip| addresses.contains(ip)) {
                return Err(Error::Name(format!("another record has {ip} too")));
            }
            Ok(record)
        });
        match record {
            Ok(record) => {
                addresses.extend(record.addresses.iter());
                records.insert(record.attachment.clone(), record);
            }
            Err(why) => {
                let aside = files::set_aside(&path)?;
                warn!(file = %aside.display(), %why, "set aside what is no record of a pod");
            }
        }
    }
    Ok(records)
}

fn read(path: &Path) -> Result<Record, Error> {
    let bytes = files::read_bounded(path, RECORD_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::file("read", path)(e.into()))
}

#[cfg(test)]
mod tests;
