//! Markdown.

use std::time::Duration;

use crate::agents::{Figures, Memory};
use crate::cni::Latencies;
use crate::measure::{Pattern, Plan, Results};
use crate::topology::name;

/// What is compared with what, and the ratio to aim for in the order of [`Pattern::ALL`].
const RATIOS: [(&str, &str, Option<[f64; 4]>); 12] = [
    (name::ROUTED, name::BARE, None),
    (name::BRIDGE, name::BARE, None),
    (name::POD, name::BARE, Some([0.98, 0.95, 0.98, 0.95])),
    (name::POD, name::ROUTED, None),
    (name::POD, name::BRIDGE, None),
    (name::SERVICE, name::POD, Some([0.99, 0.97, 0.97, 0.97])),
    (name::ROUTED_2, name::BARE_2, None),
    (name::DIRECT, name::BARE_2, Some([0.9; 4])),
    (name::DIRECT, name::ROUTED_2, Some([1.05; 4])),
    (name::DIRECT_SERVICE, name::DIRECT, Some([0.99, 0.97, 0.97, 0.97])),
    (name::KERNEL_VXLAN, name::BARE_2, None),
    (name::VXLAN, name::KERNEL_VXLAN, None),
];

/// What the figures were measured on; a busy machine makes them worthless.
pub fn machine() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("# Benchmarks\n");
    println!("Linux {}, {cpus} CPUs, load average {load} at the start.", kernel.trim());
}

/// Tables of medians and ratios, and the raw values.
pub fn traffic(plan: &Plan, results: &Results) {
    for cpu in plan.cpus.servers() {
        let cpus = if cpu == 0 { "one CPU for both" } else { "a CPU each" };
        println!("\n## Traffic, client and server on {cpus}\n");
        println!("{} rounds of {} s; medians.\n", plan.rounds, plan.seconds);
        medians(cpu, results);
        println!("\nMedians of the rounds' ratios (what to aim for in brackets):\n");
        ratios(cpu, results);
        println!("\n<details><summary>Raw values</summary>\n");
        for ((_, topology, pattern), values) in results.iter().filter(|(key, _)| key.0 == cpu) {
            let values: Vec<_> = values.iter().map(|value| format!("{value:.0}")).collect();
            println!("- {topology}, {}: {}", pattern.title(), values.join(" "));
        }
        println!("\n</details>");
    }
}

fn medians(cpu: usize, results: &Results) {
    heading("topology");
    let mut topologies: Vec<_> = results.keys().map(|key| key.1).collect();
    topologies.sort();
    topologies.dedup();
    for topology in topologies {
        let cell = |pattern| match results.get(&(cpu, topology, pattern)) {
            Some(values) => format!("{:.0}", median(values.clone())),
            None => String::new(),
        };
        row(topology, Pattern::ALL.map(cell));
    }
}

fn ratios(cpu: usize, results: &Results) {
    heading("ratio");
    for (topology, baseline, aims) in RATIOS {
        let cell = |pattern: Pattern| {
            let values = results.get(&(cpu, topology, pattern))?;
            let base = results.get(&(cpu, baseline, pattern))?;
            let ratio = median(values.iter().zip(base).map(|(a, b)| a / b).collect());
            let aim = aims.map(|aims| format!(" ({})", aims[pattern as usize]));
            Some(format!("{ratio:.3}{}", aim.unwrap_or_default()))
        };
        let cells = Pattern::ALL.map(cell);
        if cells.iter().all(Option::is_some) {
            row(&format!("{topology} / {baseline}"), cells.map(Option::unwrap_or_default));
        }
    }
}

/// ADD and DEL: medians, 99th percentiles, and the ratios of medians to the first plugin with the
/// same pause.
pub fn latencies(all: &[Latencies]) {
    println!("\n## CNI, milliseconds\n");
    let first = all.first().map_or("", |first| first.plugin);
    println!(
        "| plugin | pause before a request | pods | ADD median | ADD p99 | DEL median | DEL p99 | \
         ADD against {first} | DEL against {first} |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for latencies in all {
        let Latencies { plugin, pause, add, del } = latencies;
        let base = all.iter().find(|other| other.pause == *pause).unwrap_or(latencies);
        let [a50, a99] = [quantile(add, 0.5), quantile(add, 0.99)];
        let [d50, d99] = [quantile(del, 0.5), quantile(del, 0.99)];
        let [a, d] = [a50 / quantile(&base.add, 0.5), d50 / quantile(&base.del, 0.5)];
        let pause = match pause.as_millis() {
            0 => "none".to_owned(),
            ms => format!("{ms} ms"),
        };
        let count = add.len();
        println!(
            "| {plugin} | {pause} | {count} | {a50:.1} | {a99:.1} | {d50:.1} | {d99:.1} | {a:.2} | {d:.2} |"
        );
    }
}

/// Memory and start.
pub fn agent(figures: &Figures) {
    println!("\n## The agent\n");
    println!("| idle PSS, MB | RSS, MB | PSS after pods | RSS | first start, ms | restart, ms |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let mb = |memory: &Memory| {
        let [pss, rss] = [memory.pss_kb, memory.rss_kb].map(|kb| kb as f64 / 1024.0);
        format!("{pss:.1} | {rss:.1}")
    };
    let Figures { idle, after_pods, fresh_start, restart } = figures;
    let (fresh, again) = (fresh_start.as_millis(), restart.as_millis());
    println!("| {} | {} | {fresh} | {again} |", mb(idle), mb(after_pods));
}

fn heading(what: &str) {
    let titles = Pattern::ALL.map(Pattern::title).join(" | ");
    println!("| {what} | {titles} |\n|---|---:|---:|---:|---:|");
}

fn row(name: &str, cells: [String; 4]) {
    println!("| {name} | {} |", cells.join(" | "));
}

fn quantile(times: &[Duration], part: f64) -> f64 {
    let mut times: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1) as f64;
    times.get((last * part).round() as usize).map_or(f64::NAN, |seconds| seconds * 1000.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn a_quantile_is_one_of_the_values_in_milliseconds() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.99), 99.0);
        assert_eq!(quantile(&times, 0.0), 1.0);
    }
}
