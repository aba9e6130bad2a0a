//! A node's agent: configured, started, killed, waited for.

use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{self, Agent, plugin_binary};
use crate::node::CONFLIST;
use crate::{LabError, Node, eventually};

impl Node {
    /// The path of the configuration file that its agent gets.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// What the configuration file says; JSON is YAML too.
    pub fn config(&self) -> Result<Value, LabError> {
        Ok(json!({
            "cgroup": self.cgroup(),
            "cniPlugin": plugin_binary()?,
            "routing": self.spec.routing.as_str(),
        }))
    }

    /// Starts its agent with [`Node::config`]; [`Node::wait_ready`] waits for it.
    pub fn start_agent(&self) -> Result<(), LabError> {
        self.start_agent_with(&self.config()?)
    }

    /// Starts its agent with a configuration of the test's.
    pub fn start_agent_with(&self, config: &Value) -> Result<(), LabError> {
        let path = self.config_path();
        std::fs::write(&path, config.to_string())
            .map_err(|e| LabError::file("writing", &path, e))?;
        let agent = Agent::start(&self.place, &self.name, &path, &self.log(), &self.store)?;
        *self.agent() = Some(agent);
        Ok(())
    }

    /// Kills the agent with SIGKILL. The feed of objects ends with it.
    pub fn kill_agent(&self) {
        self.store.detach(&self.name);
        if let Some(mut agent) = self.agent().take() {
            agent.kill();
        }
    }

    /// Ends the agent as the kubelet does, with SIGTERM.
    pub fn stop_agent(&self) {
        self.store.detach(&self.name);
        if let Some(mut agent) = self.agent().take() {
            agent.stop();
        }
    }

    /// Starts an agent where none runs. The old configuration file for the runtime is removed
    /// first, so that its return says that this agent is ready.
    pub fn restart_agent(&self) -> Result<(), LabError> {
        self.kill_agent();
        let _ = std::fs::remove_file(self.path(CONFLIST));
        self.start_agent()?;
        self.wait_ready(agent::READY_IN)
    }

    /// The API server goes away: the agent's feed ends, the agent lives on.
    pub fn lose_api(&self) {
        self.store.detach(&self.name);
    }

    /// Process id of the running agent.
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent().as_ref().map(Agent::pid)
    }

    /// Waits until the agent has written the runtime's configuration.
    pub fn wait_ready(&self, deadline: Duration) -> Result<(), LabError> {
        let (mut ended, conflist) = (None, self.path(CONFLIST));
        let settled = eventually(deadline, || {
            ended = self.agent().as_mut().and_then(Agent::ended);
            ended.is_some() || conflist.exists()
        });
        let why = match ended {
            None if settled => return Ok(()),
            None => format!("was not ready after {deadline:?} (no {CONFLIST})"),
            Some(ended) => ended,
        };
        Err(LabError::Agent { node: self.name.clone(), why, log: self.log_tail() })
    }

    /// The end of the agent's log.
    pub fn log_tail(&self) -> String {
        agent::tail(&self.log(), 40)
    }

    /// The whole log of this node's agents so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    fn agent(&self) -> MutexGuard<'_, Option<Agent>> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
