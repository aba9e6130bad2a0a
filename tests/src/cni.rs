//! CNI plugins called by the exec protocol, as a container runtime does (CNI spec 1.1, section 4).

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{LabError, Place};

/// A network configuration list, and where its plugins are and run.
#[derive(Clone, Debug)]
pub struct Cni {
    place: Place,
    bin_dir: PathBuf,
    list: Value,
}

/// The container that a command is about.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_NETNS`; empty when the namespace is gone.
    pub netns: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: String,
}

impl Cni {
    /// The plugins of `list` (a parsed conflist) from `bin_dir`, run in `place`.
    pub fn new(place: Place, bin_dir: &str, list: Value) -> Self {
        Self { place, bin_dir: bin_dir.into(), list }
    }

    /// As [`Cni::new`], with the list from a file.
    pub(crate) fn read(place: Place, bin_dir: &str, path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read(path).map_err(|e| LabError::file("reading", path, e))?;
        let list = serde_json::from_slice(&text)
            .map_err(|e| LabError::file("parsing", path, std::io::Error::other(e)))?;
        Ok(Self::new(place, bin_dir, list))
    }

    /// The same list in another version of the specification: GC and STATUS came with 1.1.0.
    pub fn in_version(mut self, version: &str) -> Self {
        self.list["cniVersion"] = json!(version);
        self
    }

    /// The configuration list.
    pub fn list(&self) -> &Value {
        &self.list
    }

    /// ADD through the chain of plugins; returns the last result.
    pub fn add(&self, to: &Attachment) -> Result<Value, LabError> {
        let mut result = Value::Null;
        for plugin in self.plugins() {
            result = self.call("ADD", to, plugin, json!({"prevResult": result}))?;
        }
        Ok(result)
    }

    /// CHECK with the result that ADD gave.
    pub fn check(&self, to: &Attachment, result: &Value) -> Result<(), LabError> {
        self.plugins().iter().try_for_each(|plugin| {
            self.call("CHECK", to, plugin, json!({"prevResult": result})).map(drop)
        })
    }

    /// DEL through the chain, last plugin first.
    pub fn del(&self, from: &Attachment, result: &Value) -> Result<(), LabError> {
        self.plugins().iter().rev().try_for_each(|plugin| {
            self.call("DEL", from, plugin, json!({"prevResult": result})).map(drop)
        })
    }

    /// GC: only these (container, interface) remain.
    pub fn gc(&self, valid: &[(&str, &str)]) -> Result<(), LabError> {
        let valid: Vec<_> =
            valid.iter().map(|(id, ifname)| json!({"containerID": id, "ifname": ifname})).collect();
        let extra = json!({"cni.dev/valid-attachments": valid});
        self.without_container("GC", extra)
    }

    /// STATUS: whether ADD can be served.
    pub fn status(&self) -> Result<(), LabError> {
        self.without_container("STATUS", json!({}))
    }

    fn without_container(&self, command: &str, extra: Value) -> Result<(), LabError> {
        let none = Attachment {
            container: String::new(),
            netns: String::new(),
            ifname: String::new(),
            args: String::new(),
        };
        let call = |plugin| self.call(command, &none, plugin, extra.clone()).map(drop);
        self.plugins().iter().try_for_each(call)
    }

    fn plugins(&self) -> &[Value] {
        self.list["plugins"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// One plugin: its own keys, the list's name and version, and `extra` where it is not null.
    fn call(
        &self,
        command: &str,
        about: &Attachment,
        plugin: &Value,
        extra: Value,
    ) -> Result<Value, LabError> {
        let mut config = plugin.clone();
        config["cniVersion"] = self.list["cniVersion"].clone();
        config["name"] = self.list["name"].clone();
        for (key, value) in extra.as_object().into_iter().flatten() {
            if !value.is_null() {
                config[key] = value.clone();
            }
        }
        let name = plugin["type"].as_str().unwrap_or_default();
        self.exec(command, about, name, config.to_string().as_bytes())
    }

    /// Executes plugin `name` with `input` as its configuration, whatever it is.
    pub fn exec(
        &self,
        command: &str,
        about: &Attachment,
        name: &str,
        input: &[u8],
    ) -> Result<Value, LabError> {
        let program = self.bin_dir.join(name);
        let failed = |e: std::io::Error| LabError::Command {
            command: format!("CNI_COMMAND={command} {}", program.display()),
            why: e.to_string(),
        };
        let mut child = self
            .place
            .command(&program)
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", &about.container)
            .env("CNI_NETNS", &about.netns)
            .env("CNI_IFNAME", &about.ifname)
            .env("CNI_ARGS", &about.args)
            .env("CNI_PATH", &self.bin_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut stdin = child.stdin.take().expect("stdin was piped above");
        // A plugin that ends without reading breaks the pipe; its exit code says more.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().map_err(failed)?;
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if output.status.success() {
            return Ok(value);
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        Err(LabError::Cni {
            command: command.into(),
            plugin: name.into(),
            code: value["code"].as_i64().unwrap_or(-1),
            message: format!(
                "{} {}{}",
                text("msg"),
                text("details"),
                String::from_utf8_lossy(&output.stderr)
            ),
        })
    }
}

/// The addresses of a result of ADD, in its order.
pub(crate) fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().map(Vec::as_slice).unwrap_or_default();
    let address = |ip: &Value| ip["address"].as_str()?.split('/').next()?.parse().ok();
    ips.iter().filter_map(address).collect()
}
