//! One screen that says what works and what does not.

use super::page::{Page, bytes, duration, number};
use super::problems::percent;
use super::{Api, Datapath, OtherNode, State, Status};

/// The most rows of anything that grows with the cluster or its faults.
const ROWS: usize = 8;

impl Status {
    /// The status as text of at most 96 columns, problems first.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        head(self, &mut page);
        problems(self, &mut page);
        node(self, &mut page);
        api(&self.api, &mut page);
        datapath(&self.datapath, &mut page);
        nodes(&self.nodes, &mut page);
        counts(self, &mut page);
        traffic(self, &mut page);
        page.into_text()
    }
}

fn head(status: &Status, page: &mut Page) {
    let state = match status.state() {
        State::Ok => "the network works",
        State::Degraded => "DEGRADED",
        State::NotReady => "NOT READY",
    };
    page.wrapped("", &format!("fairlead on node {}: {state}", or_unknown(&status.node.name)));
    page.blank();
}

fn problems(status: &Status, page: &mut Page) {
    let problems = status.problems();
    for problem in problems.iter().take(ROWS) {
        let lead = match problem.state {
            State::NotReady => "x ",
            State::Degraded => "! ",
            State::Ok => "- ",
        };
        page.wrapped(lead, &problem.what);
        if !problem.to_do.is_empty() {
            page.wrapped("  -> ", &problem.to_do);
        }
    }
    if problems.len() > ROWS {
        page.wrapped("  ", &format!("and {} more: see --output json", problems.len() - ROWS));
    }
    if !problems.is_empty() {
        page.blank();
    }
}

fn node(status: &Status, page: &mut Page) {
    let node = &status.node;
    page.section("node");
    page.line(&format!(
        "{}, kernel {}, fairlead {} up {}",
        list(&node.addresses, "no address"),
        or_unknown(&node.kernel),
        or_unknown(&node.version),
        duration(node.uptime)
    ));
}

fn api(api: &Api, page: &mut Page) {
    page.section("api");
    let connection = if api.connected { "connected" } else { "DISCONNECTED" };
    let sync = match &api.not_synced[..] {
        [] => "in sync".to_owned(),
        kinds => format!("no list yet of {}", kinds.join(", ")),
    };
    let server = or_unknown(&api.server);
    page.line(&format!("{server}, {connection} for {}, {sync}", duration(api.since)));
}

fn datapath(d: &Datapath, page: &mut Page) {
    page.section("datapath");
    let masquerade = list(&d.masquerade, "nothing");
    let reason =
        if d.mtu_reason.is_empty() { String::new() } else { format!(" by {}", d.mtu_reason) };
    let routing = or_unknown(&d.routing);
    page.line(&format!("routing {routing}, MTU {}{reason}, masquerades {masquerade}", d.mtu));
    let programs: Vec<String> = d
        .programs
        .iter()
        .map(|p| match p.attached < p.wanted {
            true => format!("{} {} OF {}", p.name, p.attached, p.wanted),
            false => format!("{} {}", p.name, p.attached),
        })
        .collect();
    match &programs[..] {
        [] => page.line("no programs"),
        some => page.items("programs: ", some, ", "),
    }
    let devices: Vec<String> = d
        .devices
        .iter()
        .map(|device| {
            let slow = if device.offloads_off.is_empty() { "" } else { ", offloads OFF" };
            format!("{} (MTU {}{slow})", device.name, device.mtu)
        })
        .collect();
    if !devices.is_empty() {
        page.items("devices: ", &devices, ", ");
    }
    let (bpffs, cgroup) = (or_unknown(&d.bpffs), or_unknown(&d.cgroup));
    page.line(&format!("maps of layout {} in {bpffs}, sockets of {cgroup}", d.layout));
}

fn nodes(nodes: &[OtherNode], page: &mut Page) {
    page.section("nodes");
    let failed = nodes.iter().filter(|n| n.problem.is_some()).count();
    let reached = nodes.len() - failed;
    let ways: Vec<String> = ["direct", "vxlan"]
        .iter()
        .map(|way| (way, nodes.iter().filter(|n| n.problem.is_none() && n.way == **way).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(way, count)| format!("{count} {way}"))
        .collect();
    page.line(&match (reached, failed) {
        (0, 0) => "no other".to_owned(),
        (_, 0) => format!("{reached} reached: {}", ways.join(", ")),
        (0, _) => format!("{failed} NOT reached"),
        _ => format!("{reached} reached: {}; {failed} NOT reached", ways.join(", ")),
    });
    let mut rows: Vec<&OtherNode> = nodes.iter().collect();
    rows.sort_by_key(|n| (n.problem.is_none(), &n.name));
    let shown = &rows[..rows.len().min(ROWS)];
    let width = shown.iter().map(|n| n.name.len()).max().unwrap_or(0);
    for n in shown {
        let address = n.address.map_or_else(|| "no address".to_owned(), |a| a.to_string());
        let way = if n.problem.is_some() { "FAILED" } else { or_unknown(&n.way) };
        let row = format!("{:<width$} {way:<6} {address:<15} {}", n.name, n.pod_cidrs.join(" "));
        page.items("", &[row.trim_end().to_owned()], "");
    }
    if rows.len() > shown.len() {
        page.line(&format!("and {} more", rows.len() - shown.len()));
    }
}

fn counts(status: &Status, page: &mut Page) {
    page.section("pods");
    let mut pods = vec![status.pods.count.to_string()];
    pods.extend(status.pods.ranges.iter().map(|r| {
        let percent = share(r.in_use, r.capacity);
        format!("{} uses {} of {}{percent}", r.cidr, number(r.in_use), number(r.capacity))
    }));
    page.items("", &pods, ", ");

    page.section("services");
    let s = &status.services;
    page.line(&format!(
        "{}, with {} frontends and {} backends",
        number(s.services),
        number(s.frontends),
        number(s.backends)
    ));

    page.section("dns");
    let dns = &status.dns;
    page.line(&format!(
        "{}: {} questions answered, {} failed",
        list(&dns.addresses, "no address"),
        number(dns.answered),
        number(dns.failed)
    ));

    page.section("maps");
    let maps: Vec<String> = status
        .maps
        .iter()
        .map(|m| format!("{} {}/{}{}", m.name, m.entries, m.max, share(m.entries, m.max)))
        .collect();
    page.items("", &or_none(maps), ", ");
}

fn traffic(status: &Status, page: &mut Page) {
    page.section("traffic");
    let traffic: Vec<String> = status
        .traffic
        .iter()
        .filter(|t| t.packets > 0)
        .map(|t| match t.bytes {
            0 => format!("{} {}", t.how, number(t.packets)),
            n => format!("{} {} ({})", t.how, number(t.packets), bytes(n)),
        })
        .collect();
    page.items("", &or_none(traffic), ", ");

    page.section("drops");
    let mut drops: Vec<_> = status.drops.iter().filter(|d| d.packets > 0).collect();
    drops.sort_by_key(|d| (std::cmp::Reverse(d.packets), &d.hook, &d.reason));
    if drops.is_empty() {
        page.line("none");
    }
    for d in drops.iter().take(ROWS) {
        page.line(&format!("{} at {}: {}", number(d.packets), d.hook, d.reason));
    }
    if drops.len() > ROWS {
        page.line(&format!("and {} reasons more", drops.len() - ROWS));
    }
}

fn share(part: u64, max: u64) -> String {
    percent(part, max).map(|p| format!(" ({p}%)")).unwrap_or_default()
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn or_none(items: Vec<String>) -> Vec<String> {
    if items.is_empty() { vec!["none".to_owned()] } else { items }
}

fn list(items: &[impl ToString], none: &str) -> String {
    match items {
        [] => none.to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}
