//! What does not work, and what to do about it.

use serde::{Deserialize, Serialize};

use super::{Api, Datapath, Map, Pods, Status};

/// Share of a map or a range, in percent, from which on it is called nearly full.
const NEARLY_FULL: u64 = 90;

/// How well the node's network works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// Everything works.
    #[default]
    Ok,
    /// Something works badly or not for everybody.
    Degraded,
    /// Pods can't start or have no network.
    NotReady,
}

impl State {
    /// Exit code of `fairlead status`: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Ok => "Ok",
            State::Degraded => "Degraded",
            State::NotReady => "NotReady",
        })
    }
}

/// A problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub state: State,
    /// What is wrong, on what.
    pub what: String,
    /// What the operator can do.
    pub to_do: String,
}

impl Problem {
    /// A fault of somebody's object, which makes no node worse.
    pub fn note(what: impl Into<String>) -> Self {
        Problem { state: State::Ok, what: what.into(), to_do: String::new() }
    }

    /// Something works badly or not for everybody.
    pub fn degraded(what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Problem { state: State::Degraded, what: what.into(), to_do: to_do.into() }
    }

    /// Pods can't start or have no network.
    pub fn not_ready(what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Problem { state: State::NotReady, what: what.into(), to_do: to_do.into() }
    }
}

impl Status {
    /// The problems that were reported and those that the values show, worst first.
    pub fn problems(&self) -> Vec<Problem> {
        let mut all = self.reported.clone();
        api(&self.api, &mut all);
        datapath(&self.datapath, &mut all);
        nodes(self, &mut all);
        pods(&self.pods, &mut all);
        let services = self.services.problems.iter();
        all.extend(services.map(|p| Problem::note(format!("Service {p}"))));
        all.extend(self.maps.iter().filter_map(map));
        all.sort_by_key(|p| std::cmp::Reverse(p.state));
        all
    }

    /// The worst of the problems.
    pub fn state(&self) -> State {
        self.problems().first().map_or(State::Ok, |p| p.state)
    }
}

fn api(api: &Api, all: &mut Vec<Problem>) {
    let server = if api.server.is_empty() { "the API server" } else { &api.server };
    if !api.connected {
        let error = api.error.as_deref().map(|e| format!(" ({e})")).unwrap_or_default();
        let since = super::page::duration(api.since);
        all.push(Problem::degraded(
            format!("{server} is not reached for {since}{error}: changes have no effect here"),
            "check that the server runs and that this node reaches it",
        ));
    }
    if !api.not_synced.is_empty() {
        all.push(Problem::not_ready(
            format!("no complete list yet of {}", api.not_synced.join(", ")),
            "wait; if it stays, check the agent's log and its ClusterRole",
        ));
    }
}

fn datapath(datapath: &Datapath, all: &mut Vec<Problem>) {
    if datapath.programs.is_empty() {
        all.push(Problem::not_ready("no program is loaded", "see the agent's log for the reason"));
    }
    for p in datapath.programs.iter().filter(|p| p.attached < p.wanted) {
        all.push(Problem::not_ready(
            format!("program {} is attached in {} of {} places", p.name, p.attached, p.wanted),
            "see the agent's log for the reason; a restart of the agent attaches it anew",
        ));
    }
    for device in datapath.devices.iter().filter(|d| !d.offloads_off.is_empty()) {
        let off = device.offloads_off.join(", ");
        let switches = device.offloads_off.iter().map(|o| format!(" {o} on")).collect::<String>();
        all.push(Problem::degraded(
            format!("offloads of {} are off, which makes it slow: {off}", device.name),
            format!("ethtool -K {}{switches}", device.name),
        ));
    }
}

fn nodes(status: &Status, all: &mut Vec<Problem>) {
    for node in &status.nodes {
        if let Some(problem) = &node.problem {
            all.push(Problem::degraded(format!("node {}: {problem}", node.name), ""));
        }
    }
}

fn pods(pods: &Pods, all: &mut Vec<Problem>) {
    for range in &pods.ranges {
        let Some(percent) = percent(range.in_use, range.capacity) else { continue };
        if range.in_use >= range.capacity {
            all.push(Problem::not_ready(
                format!("pod CIDR {} has no free address: new pods can't start", range.cidr),
                "delete pods, lower maxPods, or give nodes larger CIDRs",
            ));
        } else if percent >= NEARLY_FULL {
            all.push(Problem::degraded(
                format!("pod CIDR {} is {percent}% used", range.cidr),
                "lower maxPods or give nodes larger CIDRs",
            ));
        }
    }
}

fn map(map: &Map) -> Option<Problem> {
    let percent = percent(map.entries, map.max)?;
    // A map that evicts is full in ordinary life.
    (percent >= NEARLY_FULL && !map.evicts).then(|| {
        Problem::degraded(
            format!("map {} is {percent}% full ({} of {})", map.name, map.entries, map.max),
            "give it more entries in the agent's configuration",
        )
    })
}

/// Whole percent of `max`, rounded down; `None` of nothing.
pub(super) fn percent(part: u64, max: u64) -> Option<u64> {
    let percent = u128::from(part) * 100 / (max != 0).then_some(u128::from(max))?;
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{OtherNode, Program, Range};
    use super::*;

    /// Nothing wrong.
    fn healthy() -> Status {
        Status {
            api: Api { connected: true, ..Default::default() },
            datapath: Datapath {
                programs: vec![Program { name: "from_pod".into(), attached: 1, wanted: 1 }],
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn an_agent_that_says_nothing_is_not_ready() {
        assert_eq!(Status::default().state(), State::NotReady);
        assert_eq!(healthy().state(), State::Ok);
    }

    #[test]
    fn the_worst_problem_is_the_state_and_comes_first() {
        let mut status = healthy();
        status.api.connected = false;
        assert_eq!(status.state(), State::Degraded);
        status.reported.push(Problem::degraded("a", "b"));
        status.datapath.programs[0].wanted = 2;
        let problems = status.problems();
        assert_eq!(status.state(), State::NotReady);
        assert_eq!(problems.len(), 3);
        assert_eq!(problems[0].what, "program from_pod is attached in 1 of 2 places");
    }

    #[test]
    fn a_range_without_a_free_address_lets_no_pod_start() {
        let mut status = healthy();
        for (in_use, state) in
            [(89, State::Ok), (90, State::Degraded), (99, State::Degraded), (100, State::NotReady)]
        {
            status.pods.ranges =
                vec![Range { cidr: "10.244.0.0/24".into(), in_use, capacity: 100 }];
            assert_eq!(status.state(), state, "{in_use}");
        }
    }

    #[test]
    fn a_full_map_is_a_problem_unless_old_entries_make_room() {
        let mut status = healthy();
        let map = Map { name: "fl_nat".into(), entries: 95, max: 100, evicts: true };
        status.maps = vec![map.clone()];
        assert_eq!(status.state(), State::Ok);
        status.maps = vec![Map { evicts: false, ..map }];
        assert_eq!(status.state(), State::Degraded);
    }

    #[test]
    fn an_unreached_node_and_a_slow_device_are_problems() {
        let mut status = healthy();
        status.nodes = vec![OtherNode { problem: Some("no podCIDR".into()), ..Default::default() }];
        status.datapath.devices = vec![super::super::Device {
            name: "eth0".into(),
            mtu: 1500,
            offloads_off: vec!["tso".into(), "tx-checksum".into()],
        }];
        let to_do: Vec<String> = status.problems().into_iter().map(|p| p.to_do).collect();
        assert_eq!(to_do, ["ethtool -K eth0 tso on tx-checksum on", ""]);
    }

    #[test]
    fn a_faulty_service_is_told_but_makes_no_node_worse() {
        let mut status = healthy();
        status.services.problems = vec!["shop/cart: fault".into()];
        assert_eq!(status.problems(), [Problem::note("Service shop/cart: fault")]);
        assert_eq!(status.state(), State::Ok);
    }

    #[test]
    fn percent_of_nothing_is_not_a_number() {
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100));
        assert_eq!(percent(1, 3), Some(33));
    }
}
