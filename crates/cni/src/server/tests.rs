use std::os::unix::net::UnixStream as StdStream;

use tokio::io::AsyncReadExt;

use super::*;

struct Echo;

impl Agent for Echo {
    async fn handle(&self, request: Request, _: Option<OwnedFd>) -> Response {
        Failure::new(code::UNKNOWN_CONTAINER, request.container_id).into()
    }
}

fn start(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let socket = dir.path().join("run/cni.sock");
    tokio::spawn(Server::bind(&socket).unwrap().serve(Arc::new(Echo)));
    socket
}

/// Sends bytes, ends the stream, and returns the answer's error.
async fn ask(socket: &Path, bytes: &[u8]) -> Failure {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The server may answer, and hang up, before it was sent everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut line = Vec::new();
    let _ = stream.read_to_end(&mut line).await;
    match decode(&line) {
        Ok(Response::Error(failure)) => failure,
        other => panic!("{other:?} from {}", String::from_utf8_lossy(&line)),
    }
}

fn del(id: &str) -> Vec<u8> {
    let mut request = Request::new(crate::protocol::Command::Del);
    request.container_id = id.into();
    request.ifname = "eth0".into();
    encode(&request)
}

#[tokio::test]
async fn garbage_gets_an_error_and_the_next_request_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let socket = start(&dir);
    let garbage: [&[u8]; 6] = [
        b"\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"{\"protocol\":1,\"body\":[]}\n",
        b"[[[[[\n",
        b"GET / HTTP/1.1\r\n",
    ];
    for bytes in garbage {
        assert_eq!(ask(&socket, bytes).await.code, code::DECODE, "{bytes:?}");
    }
    assert_eq!(ask(&socket, &vec![b'['; 100_000]).await.code, code::IO, "no end of line");
    let mut deep = vec![b'['; 100_000];
    deep.push(b'\n');
    assert_eq!(ask(&socket, &deep).await.code, code::DECODE);
    assert_eq!(ask(&socket, &del("../x")).await.code, code::INVALID_ENVIRONMENT);
    let mut add = Request::new(Command::Add);
    (add.container_id, add.ifname) = ("abc".into(), "eth0".into());
    assert!(ask(&socket, &encode(&add)).await.msg.contains("without the pod's network namespace"));
    assert_eq!(ask(&socket, &del("abc")).await.msg, "abc");
}

#[tokio::test]
async fn a_request_without_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let socket = start(&dir);
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    let chunk = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 8 * crate::protocol::MESSAGE_LIMIT, "it reads on and on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_and_holds_nobody_back() {
    let dir = tempfile::tempdir().unwrap();
    let socket = start(&dir);
    let mut silent = Vec::new();
    for _ in 0..2 * CONCURRENCY {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    assert_eq!(ask(&socket, &del("abc")).await.msg, "abc");
    let mut line = Vec::new();
    silent[0].read_to_end(&mut line).await.unwrap();
    let answer: Response = decode(&line).unwrap();
    assert!(matches!(answer, Response::Error(f) if f.msg.contains("in time")));
}

#[tokio::test]
async fn the_socket_is_for_root_only_and_a_stale_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cni.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(StdStream::connect(&socket).is_err(), "it is stale");
    let _server = Server::bind(&socket).unwrap();
    assert!(StdStream::connect(&socket).is_ok());
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_second_agent_is_refused_with_where_to_look() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cni.sock");
    let first = Server::bind(&socket).unwrap();
    let error = Server::bind(&socket).unwrap_err().to_string();
    assert!(error.contains("kubectl get pods -A -l app=fairlead-agent"), "{error}");
    drop(first);
    assert!(Server::bind(&socket).is_ok());
}
