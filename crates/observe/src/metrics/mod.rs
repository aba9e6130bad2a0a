//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! Values are read where they live (maps of the kernel, tables of the agent) when somebody asks, so
//! this is a writer of plain values and not a registry of live ones; only a [`Histogram`] lives.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

mod histogram;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use histogram::Histogram;
use histogram::Snapshot;

/// `Content-Type` of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics to be written, in the order of their names and labels.
#[derive(Debug, Default)]
pub struct Metrics {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    samples: BTreeMap<Vec<(&'static str, String)>, Value>,
}

#[derive(Debug)]
enum Value {
    /// Written in full, beyond what a float holds.
    Count(u64),
    Gauge(f64),
    Histogram(Snapshot),
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Metrics {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that only grows; its name ends in `_total`.
    ///
    /// The same name and labels twice: the later value counts. This holds for gauges and histograms.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels, value: u64) {
        debug_assert!(name.ends_with("_total"), "{name}: a counter's name ends in _total");
        self.add(name, help, "counter", labels, Value::Count(value));
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels, value: f64) {
        self.add(name, help, "gauge", labels, Value::Gauge(value));
    }

    /// How values are spread; its name ends in the unit.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Labels,
        value: &Histogram,
    ) {
        self.add(name, help, "histogram", labels, Value::Histogram(value.snapshot()));
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: Labels,
        value: Value,
    ) {
        debug_assert!(is_name(name, true), "{name} is no name of a metric");
        debug_assert!(labels.iter().all(|(l, _)| is_name(l, false)), "{labels:?}");
        let family =
            self.families.entry(name).or_insert(Family { help, kind, samples: BTreeMap::new() });
        debug_assert_eq!(family.kind, kind, "{name} is of two types");
        let mut key: Vec<_> = labels.iter().map(|(name, value)| (*name, (*value).into())).collect();
        key.sort();
        family.samples.insert(key, value);
    }

    /// The text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            // Writing to a String does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", family.kind);
            for (labels, value) in &family.samples {
                sample(&mut text, name, labels, value);
            }
        }
        text
    }
}

fn sample(text: &mut String, name: &str, labels: &[(&str, String)], value: &Value) {
    match value {
        Value::Count(count) => line(text, name, labels, None, count),
        Value::Gauge(value) => line(text, name, labels, None, float(*value)),
        Value::Histogram(h) => {
            let bucket = format!("{name}_bucket");
            for (bound, count) in &h.buckets {
                line(text, &bucket, labels, Some(&float(*bound)), count);
            }
            line(text, &bucket, labels, Some("+Inf"), h.count);
            line(text, &format!("{name}_sum"), labels, None, float(h.sum));
            line(text, &format!("{name}_count"), labels, None, h.count);
        }
    }
}

fn line(
    text: &mut String,
    name: &str,
    labels: &[(&str, String)],
    le: Option<&str>,
    value: impl std::fmt::Display,
) {
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<String> = labels
        .chain(le.map(|bound| ("le", bound)))
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    let braced = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
    let _ = writeln!(text, "{name}{braced} {value}");
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, for labels without the colon.
fn is_name(name: &str, colon: bool) -> bool {
    name.starts_with(|c: char| !c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPS: &str = "fairlead_drops_total";

    #[test]
    fn help_and_type_are_said_once_and_the_order_is_of_names_and_labels() {
        let mut m = Metrics::new();
        m.gauge("fairlead_pods", "Pods of this node.", &[], 3.0);
        m.counter(DROPS, "Packets dropped.", &[("reason", "b"), ("hook", "to_pod")], u64::MAX);
        m.counter(DROPS, "Packets dropped.", &[("hook", "from_pod"), ("reason", "a")], 1);
        m.counter(DROPS, "Packets dropped.", &[("hook", "from_pod"), ("reason", "a")], 2);
        let want = r#"# HELP fairlead_drops_total Packets dropped.
# TYPE fairlead_drops_total counter
fairlead_drops_total{hook="from_pod",reason="a"} 2
fairlead_drops_total{hook="to_pod",reason="b"} 18446744073709551615
# HELP fairlead_pods Pods of this node.
# TYPE fairlead_pods gauge
fairlead_pods 3
"#;
        assert_eq!(m.render(), want);
    }

    #[test]
    fn what_the_format_gives_a_meaning_is_escaped() {
        let mut m = Metrics::new();
        m.gauge("a", "back\\slash\n\"line\"", &[("l", "a\"b\\c\nd")], 1.0);
        let want =
            "# HELP a back\\\\slash\\n\"line\"\n# TYPE a gauge\na{l=\"a\\\"b\\\\c\\nd\"} 1\n";
        assert_eq!(m.render(), want);
    }

    #[test]
    fn floats_are_written_as_the_format_wants_them() {
        let written: Vec<String> =
            [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -2.0].map(float).into();
        assert_eq!(written, ["0.5", "NaN", "+Inf", "-Inf", "-2"]);
    }

    #[test]
    fn a_histogram_has_cumulative_buckets_in_order_of_their_bounds() {
        let h = Histogram::new(&[0.5, 5.0, 10.0]);
        for value in [0.25, 0.5, 7.0, 100.0] {
            h.observe(value);
        }
        let mut m = Metrics::new();
        m.histogram("fairlead_cni_seconds", "Time.", &[("command", "ADD")], &h);
        let want = r#"# HELP fairlead_cni_seconds Time.
# TYPE fairlead_cni_seconds histogram
fairlead_cni_seconds_bucket{command="ADD",le="0.5"} 2
fairlead_cni_seconds_bucket{command="ADD",le="5"} 2
fairlead_cni_seconds_bucket{command="ADD",le="10"} 3
fairlead_cni_seconds_bucket{command="ADD",le="+Inf"} 4
fairlead_cni_seconds_sum{command="ADD"} 107.75
fairlead_cni_seconds_count{command="ADD"} 4
"#;
        assert_eq!(m.render(), want);
    }

    #[test]
    fn names_are_checked() {
        assert!(is_name("fairlead_drops_total", true) && is_name("a:b", true));
        assert!(!is_name("a:b", false) && !is_name("0a", true) && !is_name("a-b", true));
        assert!(!is_name("", true));
    }
}
