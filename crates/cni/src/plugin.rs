//! The CNI plugin, whole but for `main`: environment and standard input in, one JSON document on
//! standard output and an exit code out.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::{Value, json};

use crate::protocol::{Added, Command, Failure, Request, Response, code};

mod client;
mod config;
mod environment;
mod netns;
mod result;
mod version;

pub use client::{CallError, call};
use config::Config;
use environment::Verb;
pub use environment::{Environment, VARIABLES};
pub use version::{SUPPORTED, Version};

/// The most bytes of a network configuration that are read.
const CONFIG_LIMIT: u64 = 4 << 20;

/// How long the agent may take. Runtimes give a sandbox two to four minutes in all; a caller
/// that hears "try again later" does, one that is killed only knows that it was.
const ADD_DEADLINE: Duration = Duration::from_secs(55);
const DEL_DEADLINE: Duration = Duration::from_secs(30);
/// For a DEL that is safe in the spool already.
const SECOND_DEADLINE: Duration = Duration::from_secs(2);
const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// What a person who has to find the agent types.
const LOOK_AT_AGENT: &str =
    "look at: kubectl -n kube-system get pods -l app=fairlead-agent -o wide";

/// One run of the plugin. Returns the exit code.
pub fn run(
    variable: impl Fn(&str) -> Option<OsString>,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> u8 {
    let environment = Environment::read(variable);
    if environment.is_bare() {
        let _ = writeln!(
            stderr,
            "CNI plugin fairlead-cni v{}: hands pods to the Fairlead agent of this node\n\
             CNI protocol versions supported: {}",
            env!("CARGO_PKG_VERSION"),
            SUPPORTED.map(Version::as_str).join(", ")
        );
        return 0;
    }
    let mut version = Version::NEWEST;
    let (document, exit) = match answer(&environment, stdin, &mut version) {
        Ok(document) => (document, 0),
        Err(failure) => (Some(failure_document(&failure, version)), 1),
    };
    if let Some(document) = document
        && let Err(e) = writeln!(stdout, "{document}").and_then(|()| stdout.flush())
    {
        let _ = writeln!(stderr, "fairlead-cni: cannot write the result: {e}");
        return 1;
    }
    exit
}

/// `version` is set as soon as it is known, since errors are to be said in it too.
fn answer(
    environment: &Environment,
    stdin: &mut dyn Read,
    version: &mut Version,
) -> Result<Option<Value>, Failure> {
    let verb = environment.verb()?;
    let input = read_input(stdin);
    if verb == Verb::Version {
        return Ok(Some(version_document(&input.unwrap_or_default())));
    }
    let config = Config::parse(&input?, version)?;
    let Verb::Command(command) = verb else { return Ok(None) };
    version.allows(command)?;
    config.check(command)?;
    let request = environment.request(command, &config)?;
    match command {
        Command::Add => add(&request, &config).map(|added| Some(result::shape(&added, *version))),
        Command::Del => del(&request, &config).map(|()| None),
        Command::Check => {
            let netns = netns::open(&request.netns)?;
            let answer = call(&config.socket, &request, Some(netns.as_fd()), ADD_DEADLINE);
            expect_done(answer.map_err(|e| agent_missing(&e))?).map(|()| None)
        }
        Command::Gc => {
            let answer = call(&config.socket, &request, None, ADD_DEADLINE);
            expect_done(answer.map_err(|e| agent_missing(&e))?).map(|()| None)
        }
        Command::Status => {
            let answer = call(&config.socket, &request, None, STATUS_DEADLINE)
                .map_err(|e| Failure { code: code::NOT_AVAILABLE, ..agent_missing(&e) })?;
            expect_done(answer).map(|()| None)
        }
    }
}

fn add(request: &Request, config: &Config) -> Result<Added, Failure> {
    let netns = netns::open(&request.netns)?;
    match call(&config.socket, request, Some(netns.as_fd()), ADD_DEADLINE) {
        Ok(Response::Added(added)) => Ok(added),
        Ok(Response::Error(failure)) => Err(failure),
        Ok(Response::Done) => {
            Err(Failure::new(code::DECODE, "the Fairlead agent answered ADD without a result"))
        }
        Err(e) => Err(agent_missing(&e)),
    }
}

/// A DEL never waits for an agent: what it can't be told now it reads when it is back. Pods could
/// not go away otherwise while the agent is down.
fn del(request: &Request, config: &Config) -> Result<(), Failure> {
    match call(&config.socket, request, None, DEL_DEADLINE) {
        Ok(response) => return expect_done(response),
        Err(CallError::Garbled(failure)) => return Err(failure),
        Err(CallError::Unreachable(_) | CallError::Broken(_)) => {}
    }
    let spooled = crate::spool::put(&config.spool, request)
        .map_err(|e| Failure::new(code::IO, e.to_string()).details(LOOK_AT_AGENT))?;
    // An agent that came up since the first try may have read its spool before this file was
    // there. Doing a DEL twice does no harm.
    if let Ok(Response::Done) = call(&config.socket, request, None, SECOND_DEADLINE) {
        let _ = std::fs::remove_file(spooled);
    }
    Ok(())
}

fn expect_done(response: Response) -> Result<(), Failure> {
    match response {
        Response::Done | Response::Added(_) => Ok(()),
        Response::Error(failure) => Err(failure),
    }
}

fn agent_missing(error: &CallError) -> Failure {
    match error {
        CallError::Unreachable(why) => Failure::new(
            code::TRY_AGAIN,
            format!("the Fairlead agent is not running on this node ({why})"),
        )
        .details(LOOK_AT_AGENT),
        CallError::Broken(why) => Failure::new(
            code::TRY_AGAIN,
            format!("the Fairlead agent of this node did not answer ({why})"),
        )
        .details(LOOK_AT_AGENT),
        CallError::Garbled(failure) => failure.clone(),
    }
}

fn read_input(stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    stdin.take(CONFIG_LIMIT + 1).read_to_end(&mut input).map_err(|e| {
        Failure::new(code::IO, format!("cannot read the network configuration: {e}"))
    })?;
    if input.len() as u64 > CONFIG_LIMIT {
        let msg = format!("the network configuration has more than {CONFIG_LIMIT} bytes");
        return Err(Failure::new(code::DECODE, msg));
    }
    Ok(input)
}

/// CNI spec, "VERSION: probe plugin version support": the answer's `cniVersion` is the input's. The
/// runtime asks before it knows what we speak, so what can't be read is not an error here.
fn version_document(input: &[u8]) -> Value {
    let asked = serde_json::from_slice::<Value>(input).ok();
    let asked = asked.as_ref().and_then(|v| v.get("cniVersion")).and_then(Value::as_str);
    let version = asked.and_then(Version::parse).unwrap_or(Version::NEWEST);
    json!({
        "cniVersion": version.as_str(),
        "supportedVersions": SUPPORTED.map(Version::as_str),
    })
}

fn failure_document(failure: &Failure, version: Version) -> Value {
    let mut document = json!({
        "cniVersion": version.as_str(),
        "code": failure.code,
        "msg": failure.msg,
    });
    if !failure.details.is_empty() {
        document["details"] = json!(failure.details);
    }
    document
}
