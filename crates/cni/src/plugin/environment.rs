//! The CNI_* environment variables: CNI spec section 2, "Parameters".

use std::ffi::OsString;

use super::config::Config;
use crate::protocol::{Command, Failure, Pod, Request, code, container_id_error, ifname_error};

/// The variables that are read.
pub const VARIABLES: [&str; 5] =
    ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"];

/// The variables as they are; an empty one counts as missing, as in the reference plugins.
pub struct Environment {
    command: Option<OsString>,
    container_id: Option<OsString>,
    netns: Option<OsString>,
    ifname: Option<OsString>,
    args: Option<OsString>,
}

/// What `CNI_COMMAND` says: all but VERSION are the agent's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Command(Command),
    Version,
}

impl Environment {
    /// Takes the variables from `get`.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Environment {
        let [command, container_id, netns, ifname, args] =
            VARIABLES.map(|name| get(name).filter(|value| !value.is_empty()));
        Environment { command, container_id, netns, ifname, args }
    }

    /// Whether this is a person who wants to know what the program is.
    pub(super) fn is_bare(&self) -> bool {
        self.command.is_none()
    }

    pub(super) fn verb(&self) -> Result<Verb, Failure> {
        Ok(Verb::Command(match text("CNI_COMMAND", &self.command)? {
            "ADD" => Command::Add,
            "DEL" => Command::Del,
            "CHECK" => Command::Check,
            "GC" => Command::Gc,
            "STATUS" => Command::Status,
            "VERSION" => return Ok(Verb::Version),
            other => return Err(invalid(format!("unknown CNI_COMMAND {other:?}"))),
        }))
    }

    /// The request that goes to the agent.
    pub(super) fn request(&self, command: Command, config: &Config) -> Result<Request, Failure> {
        let mut request = Request::new(command);
        match command {
            Command::Status => return Ok(request),
            Command::Gc => {
                request.valid_attachments = config.valid_attachments()?;
                return Ok(request);
            }
            Command::Add | Command::Del | Command::Check => {}
        }
        self.require(command)?;
        request.container_id = text("CNI_CONTAINERID", &self.container_id)?.into();
        request.ifname = text("CNI_IFNAME", &self.ifname)?.into();
        request.netns = text("CNI_NETNS", &self.netns)?.into();
        let wrong =
            container_id_error(&request.container_id).or_else(|| ifname_error(&request.ifname));
        if let Some(why) = wrong {
            return Err(invalid(why));
        }
        request.pod = pod(text("CNI_ARGS", &self.args)?)?;
        Ok(request)
    }

    /// DEL's namespace may be gone already, and the runtime then says so by an empty variable.
    fn require(&self, command: Command) -> Result<(), Failure> {
        let mut missing = Vec::new();
        for (name, value) in [
            ("CNI_CONTAINERID", &self.container_id),
            ("CNI_NETNS", &self.netns),
            ("CNI_IFNAME", &self.ifname),
        ] {
            if value.is_none() && !(command == Command::Del && name == "CNI_NETNS") {
                missing.push(name);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("required environment variables missing: {}", missing.join(", "))))
    }
}

fn text<'a>(name: &str, value: &'a Option<OsString>) -> Result<&'a str, Failure> {
    let Some(value) = value else { return Ok("") };
    value.to_str().ok_or_else(|| invalid(format!("{name} {value:?} is not UTF-8")))
}

/// `K=V;K=V`. Keys that aren't ours are passed over with or without `IgnoreUnknown`: there is none
/// that would change what this plugin does.
fn pod(args: &str) -> Result<Pod, Failure> {
    let mut pod = Pod::default();
    for pair in args.split(';').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            invalid(format!("CNI_ARGS {args:?}: {pair:?} is not of the form KEY=VALUE"))
        })?;
        match key {
            "K8S_POD_NAMESPACE" => pod.namespace = value.into(),
            "K8S_POD_NAME" => pod.name = value.into(),
            "K8S_POD_UID" => pod.uid = value.into(),
            _ => {}
        }
    }
    Ok(pod)
}

fn invalid(msg: String) -> Failure {
    Failure::new(code::INVALID_ENVIRONMENT, msg)
}
