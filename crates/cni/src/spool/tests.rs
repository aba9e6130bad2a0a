use std::os::fd::OwnedFd;
use std::sync::Mutex;

use super::*;
use crate::protocol::{Command, Failure, code};

/// Notes container ids, and fails those that begin with "bad".
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Agent for Notes {
    async fn handle(&self, request: Request, _: Option<OwnedFd>) -> Response {
        self.0.lock().unwrap().push(request.container_id.clone());
        if request.container_id.starts_with("bad") {
            return Failure::new(code::IO, "no").into();
        }
        Response::Done
    }
}

fn del(id: &str) -> Request {
    let mut request = Request::new(Command::Del);
    request.container_id = id.into();
    request.ifname = "eth0".into();
    request
}

#[tokio::test]
async fn requests_are_handled_oldest_first_and_removed_only_when_done() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("deleted");
    for id in ["z", "bad1", "a"] {
        put(&spool, &del(id)).unwrap();
    }
    let agent = Notes::default();
    let drained = drain(&spool, &agent).await.unwrap();
    assert_eq!(drained, Drained { done: 2, failed: 1, aside: 0 });
    assert_eq!(*agent.0.lock().unwrap(), ["z", "bad1", "a"]);
    assert_eq!(files::names(&spool).unwrap().len(), 1, "the failed one stays");
    drain(&spool, &agent).await.unwrap();
    assert_eq!(agent.0.lock().unwrap().last().unwrap(), "bad1");
}

#[tokio::test]
async fn what_is_no_request_is_set_aside_and_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0-torn.json"), br#"{"protocol":1,"bo"#).unwrap();
    std::fs::write(dir.path().join("1-evil.json"), encode(&del("../../etc"))).unwrap();
    std::fs::write(dir.path().join(".2-unfinished.json.tmp"), b"").unwrap();
    put(dir.path(), &del("a")).unwrap();
    let agent = Notes::default();
    let drained = drain(dir.path(), &agent).await.unwrap();
    assert_eq!(drained, Drained { done: 1, failed: 0, aside: 2 });
    assert_eq!(*agent.0.lock().unwrap(), ["a"]);
    assert_eq!(drain(dir.path(), &agent).await.unwrap(), Drained::default());
}

#[tokio::test]
async fn a_spool_that_was_never_made_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let drained = drain(&dir.path().join("none"), &Notes::default()).await.unwrap();
    assert_eq!(drained, Drained::default());
}
