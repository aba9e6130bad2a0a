//! What is pinned on a node is taken over only where it fits.

#![allow(clippy::unwrap_used, reason = "a test's fixture may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aya::maps::MapInfo;
use fairlead_datapath::contract::Endpoint;
use fairlead_datapath::{Datapath, Error};
use support::world::addr;
use support::{bench, lab};

/// Names and kernel numbers of the pinned maps.
fn pinned(dir: &Path) -> BTreeMap<String, u32> {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    files
        .map(|file| {
            let info = MapInfo::from_pin(file.path()).unwrap();
            (file.file_name().into_string().unwrap(), info.id())
        })
        .collect()
}

#[test]
fn a_pinned_map_of_another_shape_is_an_error_that_changes_nothing() {
    lab::with_bpffs("the shape of pinned maps", |bpffs| {
        let (datapath, parts) = Datapath::open(bpffs, &bench::sizes()).unwrap();
        let dir = datapath.map_dir();
        drop((datapath, parts));
        // both are arrays of one, of values of different sizes
        fs::rename(dir.join("fl_verdict"), dir.join("fl_config")).unwrap();
        let before = pinned(&dir);

        let error = Datapath::open(bpffs, &bench::sizes()).err().expect("it does not fit");
        let Error::MapShape { path, found, wanted } = &error else { panic!("{error}") };
        assert_eq!(*path, dir.join("fl_config"));
        assert!(found.contains("value 24") && wanted.contains("value 16"), "{error}");
        assert_eq!(pinned(&dir), before);
    });
}

#[test]
fn what_is_pinned_is_taken_over_with_what_is_in_it() {
    lab::with_bpffs("pinned maps", |bpffs| {
        let (mut datapath, parts) = Datapath::open(bpffs, &bench::sizes()).unwrap();
        let (pod, dir) = (addr("10.0.1.1"), datapath.map_dir());
        let marked = Endpoint { ifindex: 7, translated: 1, ..Default::default() };
        datapath.put_endpoint(pod, marked).unwrap();
        let before = pinned(&dir);
        drop((datapath, parts));

        let (mut datapath, _parts) = Datapath::open(bpffs, &bench::sizes()).unwrap();
        assert_eq!(pinned(&dir), before);
        let again = Endpoint { ifindex: 7, pod: 3, ..Default::default() };
        datapath.put_endpoint(pod, again).unwrap();
        let there = datapath.endpoints().get(&pod.0).unwrap();
        assert_eq!((there.pod, there.translated), (3, 1), "a flow's mark stays");

        drop((datapath, _parts));
        Datapath::remove(bpffs).unwrap();
        assert!(!dir.exists());
    });
}
