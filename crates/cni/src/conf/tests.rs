use serde_json::Value;

use super::*;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_list_is_one_that_every_runtime_reads_and_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let net_d = dir.path().join("net.d");
    assert!(write(&net_d, &Conf::default()).unwrap());
    assert!(!write(&net_d, &Conf::default()).unwrap(), "it is there already");
    let list = read(&net_d.join(FILE));
    assert_eq!(list["cniVersion"], "1.0.0");
    assert_eq!(list["name"], "fairlead");
    assert_eq!(list["plugins"], json!([{ "type": "fairlead-cni" }]));
    assert_eq!(list.get("cniVersions"), None);
    assert_eq!(files::names(&net_d).unwrap(), [FILE], "no temporary file stays");
    assert!(remove(&net_d).unwrap());
    assert!(!remove(&net_d).unwrap());
}

#[test]
fn paths_and_newer_versions_are_written_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &Conf::default()).unwrap();
    let conf = Conf {
        newer: vec![Version::V1_1_0],
        socket: Some("/n1/cni.sock".into()),
        spool: Some("/n1/deleted".into()),
        ..Conf::default()
    };
    assert!(write(dir.path(), &conf).unwrap(), "it differs from what is there");
    let list = read(&dir.path().join(FILE));
    assert_eq!(list["cniVersions"], json!(["1.0.0", "1.1.0"]));
    assert_eq!(list["plugins"][0]["socket"], "/n1/cni.sock");
    assert_eq!(list["plugins"][0]["spool"], "/n1/deleted");
}

#[test]
fn only_a_configuration_that_sorts_first_shadows_ours() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(shadowed_by(&dir.path().join("none")).unwrap(), None);
    for name in ["10-other.conflist", "05-fairlead.conflist", "00-note.txt", "99-x.conf"] {
        fs::write(dir.path().join(name), "{}").unwrap();
    }
    fs::create_dir(dir.path().join("01-dir.conf")).unwrap();
    assert_eq!(shadowed_by(dir.path()).unwrap(), None);
    for name in ["05-cilium.conflist", "02-old.json", "01-b.conf"] {
        fs::write(dir.path().join(name), "{}").unwrap();
        assert_eq!(shadowed_by(dir.path()).unwrap(), Some(dir.path().join(name)));
    }
}

#[test]
fn the_plugin_is_installed_executable_and_only_when_it_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, bin) = (dir.path().join("new"), dir.path().join("bin"));
    fs::write(&binary, "one").unwrap();
    assert!(install(&binary, &bin).unwrap());
    assert!(!install(&binary, &bin).unwrap());
    let installed = bin.join(PLUGIN);
    assert_eq!(fs::metadata(&installed).unwrap().permissions().mode() & 0o777, 0o755);
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(install(&binary, &bin).unwrap(), "the mode is repaired");
    fs::write(&binary, "two").unwrap();
    assert!(install(&binary, &bin).unwrap());
    assert_eq!(fs::read(&installed).unwrap(), b"two");
    assert_eq!(files::names(&bin).unwrap(), [PLUGIN]);
    assert!(uninstall(&bin).unwrap());
    let error = install(&dir.path().join("absent"), &bin).unwrap_err().to_string();
    assert!(error.contains("absent"), "{error}");
}
