use std::time::Duration;

use super::*;
use crate::protocol::Pod;

fn wanted(id: &str) -> Wanted {
    Wanted {
        attachment: attachment(id),
        pod: Pod { namespace: "default".into(), name: id.into(), uid: "u".into() },
        host_link: "fl01234567890".into(),
        mtu: 1450,
    }
}

fn attachment(id: &str) -> Attachment {
    Attachment { container_id: id.into(), ifname: "eth0".into() }
}

fn open(dir: &tempfile::TempDir) -> Records {
    open_with(dir, &["10.0.0.0/29", "fd00::/64"], 0)
}

fn open_with(dir: &tempfile::TempDir, cidrs: &[&str], seed: u64) -> Records {
    let cidrs: Vec<IpNet> = cidrs.iter().map(|c| c.parse().unwrap()).collect();
    Records::open(dir.path(), &cidrs, seed).unwrap()
}

fn v4(records: &mut Records, id: &str, now: Instant) -> String {
    records.add(wanted(id), now).unwrap().addresses.v4.unwrap().to_string()
}

#[test]
fn a_retried_add_gets_the_same_addresses_also_after_a_restart() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open(&dir);
    let first = records.add(wanted("a"), now).unwrap().clone();
    assert_eq!(*records.add(wanted("a"), now).unwrap(), first);
    let mut records = open(&dir);
    assert_eq!(*records.add(wanted("a"), now).unwrap(), first);
    assert_eq!(records.len(), 1);
}

#[test]
fn a_restart_goes_on_behind_the_address_given_last_even_if_that_one_is_gone() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open(&dir);
    assert_eq!(v4(&mut records, "a", now), "10.0.0.2");
    assert_eq!(v4(&mut records, "b", now), "10.0.0.3");
    assert_eq!(v4(&mut records, "c", now), "10.0.0.4");
    records.release(&attachment("a"), now).unwrap();
    records.release(&attachment("c"), now).unwrap();
    let mut records = open_with(&dir, &["10.0.0.0/29"], 3);
    assert_eq!(v4(&mut records, "d", now), "10.0.0.5");
}

#[test]
fn after_a_boot_the_seed_says_where_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = open_with(&dir, &["10.0.0.0/24"], 77);
    assert_eq!(v4(&mut records, "a", Instant::now()), "10.0.0.79");
}

#[test]
fn release_is_idempotent_and_returns_what_was() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open(&dir);
    records.add(wanted("a"), now).unwrap();
    let released = records.release(&attachment("a"), now).unwrap().unwrap();
    assert_eq!(released.host_link, "fl01234567890");
    assert_eq!(records.release(&attachment("a"), now).unwrap(), None);
    assert!(records.is_empty() && open(&dir).is_empty());
}

#[test]
fn torn_foreign_and_doubled_files_are_set_aside_and_the_rest_is_read() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open(&dir);
    records.add(wanted("a"), now).unwrap();
    let file = dir.path().join("a@eth0.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("b@eth0.json", &text[..text.len() / 2]);
    put("c@eth0.json", &text);
    put("d@eth0.json", &text.replace("\"containerID\":\"a\"", "\"containerID\":\"d\""));
    put("e@eth0.json", "");
    put(".f@eth0.json.tmp", &text[..20]);
    let records = open(&dir);
    assert_eq!(records.iter().map(|r| &*r.attachment.container_id).collect::<Vec<_>>(), ["a"]);
    let names = files::names(dir.path()).unwrap();
    let aside = ["b", "c", "d", "e"].map(|id| format!("{id}@eth0.json.aside"));
    assert_eq!(names, [vec!["a@eth0.json".to_string()], aside.to_vec()].concat());
}

#[test]
fn a_record_that_cannot_be_written_gives_no_address() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open(&dir);
    // A directory where the record's temporary file would be: also root can't write there.
    let obstacle = dir.path().join(".a@eth0.json.tmp");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(records.add(wanted("a"), now).unwrap_err().to_string().contains("a@eth0.json"));
    assert_eq!(records.usage()[0].in_use, 0);
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(records.add(wanted("a"), now).is_ok());
}

#[test]
fn records_outside_of_the_cidrs_stay_and_count_again_when_theirs_is_back() {
    let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
    let mut records = open_with(&dir, &["10.0.0.0/30"], 0);
    assert_eq!(v4(&mut records, "a", now), "10.0.0.2");
    records.set_cidrs(&["10.9.0.0/30".parse().unwrap()]).unwrap();
    assert_eq!(v4(&mut records, "a", now), "10.0.0.2");
    assert_eq!(v4(&mut records, "b", now), "10.9.0.2");
    records.set_cidrs(&["10.0.0.0/29".parse().unwrap()]).unwrap();
    let later = now + Duration::from_secs(60);
    let given: Vec<String> = (0..4).map(|i| v4(&mut records, &format!("n{i}"), later)).collect();
    assert!(!given.contains(&"10.0.0.2".to_string()), "{given:?}");
    assert!(records.add(wanted("full"), later).is_err());
    assert!(records.set_cidrs(&["10.0.0.1/29".parse().unwrap()]).is_err());
    assert_eq!(records.usage()[0].in_use, 5, "a refused change changes nothing");
}

#[test]
fn names_that_would_leave_the_directory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(open(&dir).add(wanted("../a"), Instant::now()).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
