//! What an agent costs: memory, and the time until it is ready.

use std::time::{Duration, Instant};

use fairlead_tests::{Lab, LabError, LabSpec, Node};

/// Figures of one agent.
pub struct Figures {
    pub idle: Memory,
    pub after_pods: Memory,
    pub fresh_start: Duration,
    pub restart: Duration,
}

/// What the kernel counts for a process (proc(5), smaps_rollup).
pub struct Memory {
    pub pss_kb: u64,
    pub rss_kb: u64,
}

/// The restart of `node`'s agent, a start on a node that has seen none, and its memory now and
/// before pods came and went.
pub fn figures(node: &Node, idle: Memory) -> Result<Figures, LabError> {
    let after_pods = memory(node);
    let begin = Instant::now();
    node.restart_agent()?;
    let restart = begin.elapsed();
    let lab = Lab::new(LabSpec::default())?;
    let begin = Instant::now();
    lab.node(1).start_agent()?;
    lab.node(1).wait_ready(Duration::from_secs(20))?;
    Ok(Figures { idle, after_pods, fresh_start: begin.elapsed(), restart })
}

/// The memory of the agent of `node`.
pub fn memory(node: &Node) -> Memory {
    let pid = node.agent_pid().unwrap_or_default();
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kb = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    Memory { pss_kb: kb("Pss:"), rss_kb: kb("Rss:") }
}
