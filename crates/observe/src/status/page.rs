//! Text in sections with a label each, wrapped to a width. Plain ASCII, for every terminal and log.

/// Columns of a line.
const WIDTH: usize = 96;
/// Columns of the labels.
const LABEL: usize = 10;

/// A page that is written from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    /// The section's label until its first line took it.
    label: Option<&'static str>,
}

impl Page {
    /// Begins a section.
    pub fn section(&mut self, label: &'static str) {
        self.label = Some(label);
    }

    /// A line of a section.
    pub fn line(&mut self, line: &str) {
        let label = self.label.take().unwrap_or_default();
        self.wrapped(&format!("{label:<LABEL$} "), line);
    }

    /// A line of a section, of items that are not broken.
    pub fn items(&mut self, head: &str, items: &[String], separator: &str) {
        // What must stay together has spaces that do not break, until the line is written.
        let items: Vec<String> = items.iter().map(|i| i.replace(' ', "\u{a0}")).collect();
        self.line(&format!("{head}{}", items.join(separator)));
    }

    /// A line that begins with `lead`; the lines that it needs more are indented by as much.
    pub fn wrapped(&mut self, lead: &str, line: &str) {
        let indent = lead.chars().count();
        let mut current = lead.to_owned();
        let mut column = indent;
        for word in line.split_ascii_whitespace() {
            let width = word.chars().count();
            if column > indent && column + 1 + width > WIDTH {
                self.push(&current);
                current = " ".repeat(indent);
                column = indent;
            }
            if column > indent {
                current.push(' ');
                column += 1;
            }
            current.push_str(word);
            column += width;
        }
        self.push(&current);
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.push("");
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.replace('\u{a0}', " ").trim_end());
        self.text.push('\n');
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

/// `3d4h`, `5m10s`: the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes with a unit, in steps of 1024.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let step = (n.ilog2() / 10) as usize;
    let value = n as f64 / 1024f64.powi(step as i32);
    format!("{value:.1} {}", UNITS[step - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_numbers_and_sizes_are_short() {
        let d: Vec<String> = [59, 60, 3_661, 90_000].map(duration).into();
        assert_eq!(d, ["59s", "1m0s", "1h1m", "1d1h"]);
        let n: Vec<String> = [0, 999, 1_000, 1_234_567].map(number).into();
        assert_eq!(n, ["0", "999", "1,000", "1,234,567"]);
        let b: Vec<String> = [0, 1023, 1024, 1_572_864, u64::MAX].map(bytes).into();
        assert_eq!(b, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16.0 EiB"]);
    }

    #[test]
    fn a_long_line_goes_on_below_its_beginning_and_items_stay_whole() {
        let mut page = Page::default();
        page.section("maps");
        page.items("in use: ", &vec!["one two".to_owned(); 12], ", ");
        let text = page.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("maps       in use: one two, one two,"), "{text}");
        assert!(lines[0].len() <= WIDTH && lines[0].ends_with("one two,"), "{text}");
        assert!(lines[1].starts_with("           one two"), "{text}");
    }
}
