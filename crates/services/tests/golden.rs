//! Golden tests: Kubernetes objects in `golden/*.yaml`, the tables that they give beside them.
//! `UPDATE_EXPECT=1 cargo test -p fairlead-services` writes the tables anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write;
use std::path::Path;

use fairlead_model::{EndpointSlice, Event, Object, Service};
use fairlead_services::State;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde::Deserialize;
use serde_yaml_ng::Value;

fn objects(yaml: &str) -> Vec<Object> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| object(Value::deserialize(document).expect("a YAML document")))
        .collect()
}

fn object(value: Value) -> Object {
    match value.get("kind").and_then(Value::as_str) {
        Some("Service") => {
            let o: core::Service = serde_yaml_ng::from_value(value).expect("a Service");
            Object::Service(Service::from(&o))
        }
        Some("EndpointSlice") => {
            let o: discovery::EndpointSlice =
                serde_yaml_ng::from_value(value).expect("an EndpointSlice");
            Object::EndpointSlice(EndpointSlice::from(&o))
        }
        other => panic!("kind {other:?} is not for these tests"),
    }
}

fn table(state: &State) -> String {
    let mut text = String::new();
    for name in state.services() {
        writeln!(text, "{name}").unwrap();
        for row in state.frontends(name) {
            let port = if row.port_name.is_empty() { "-" } else { &row.port_name };
            writeln!(text, "  {} {} {} {port}", row.addr, row.port, row.protocol).unwrap();
            for backend in row.backends {
                let node = backend.node_name.as_deref().unwrap_or("-");
                writeln!(text, "    {} {} {node}", backend.addr, backend.port).unwrap();
            }
        }
        for problem in state.problems(name) {
            writeln!(text, "  problem: {problem}").unwrap();
        }
    }
    text
}

fn check(yaml: &Path) -> Result<(), String> {
    let mut state = State::new();
    for object in objects(&std::fs::read_to_string(yaml).unwrap()) {
        state.apply(&Event::Apply(object));
    }
    let got = table(&state);
    let file = yaml.with_extension("txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &got).unwrap();
    }
    let want = std::fs::read_to_string(&file).unwrap_or_default();
    if got == want {
        Ok(())
    } else {
        Err(format!("{}\n--- expected\n{want}--- got\n{got}", yaml.display()))
    }
}

#[test]
fn the_objects_of_each_case_give_its_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 12, "cases are missing: {cases:?}");
    let failed: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
