use super::*;

#[test]
fn a_message_is_one_line_and_comes_back_as_it_was() {
    let mut request = Request::new(Command::Add);
    request.container_id = "abc".into();
    request.ifname = "eth0".into();
    request.pod.name = "with\nnewline".into();
    let line = encode(&request);
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    assert_eq!(decode::<Request>(&line), Ok(request));
}

#[test]
fn a_newer_plugin_that_only_adds_fields_is_understood() {
    let line = br#"{"protocol":1,"new":1,"body":{"command":"DEL","container_id":"a","ifname":"eth0","extra":[1]}}"#;
    let request: Request = decode(line).unwrap();
    assert_eq!((request.command, request.container_id.as_str()), (Command::Del, "a"));
}

#[test]
fn a_newer_protocol_is_refused_with_what_to_do() {
    let failure = decode::<Request>(br#"{"protocol":2,"body":{}}"#).unwrap_err();
    assert_eq!(failure.code, code::TRY_AGAIN);
    assert!(failure.details.contains("restart the agent"), "{failure:?}");
}

#[test]
fn names_that_could_leave_a_directory_are_refused() {
    for id in ["", "../x", "a/b", "-a", ".a", "a b", "ä", "a\n", &"x".repeat(201)] {
        assert!(container_id_error(id).is_some(), "{id:?}");
    }
    for id in ["a", "0", "cnitool-77383ca0a0715733ca6f", "a_b.c-d", &"x".repeat(200)] {
        assert!(container_id_error(id).is_none(), "{id:?}");
    }
    for name in ["", ".", "..", "a/b", "a:b", "a b", "sixteen-letters-", "a\0"] {
        assert!(ifname_error(name).is_some(), "{name:?}");
    }
    assert!(ifname_error("eth0").is_none());
}
