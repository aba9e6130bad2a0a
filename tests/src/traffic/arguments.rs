use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The command line: a command, words, and options that all commands share.
pub struct Arguments {
    pub command: String,
    words: Vec<String>,
    pub bind: Option<IpAddr>,
    pub timeout: Duration,
    pub interval: Duration,
}

impl Arguments {
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let millis = Duration::from_millis;
        let mut arguments = Self {
            command: String::new(),
            words: Vec::new(),
            bind: None,
            timeout: millis(2000),
            interval: Duration::ZERO,
        };
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--bind" => arguments.bind = Some(parse(&value()?)?),
                "--timeout-ms" => arguments.timeout = millis(parse(&value()?)?),
                "--interval-ms" => arguments.interval = millis(parse(&value()?)?),
                _ if arguments.command.is_empty() => arguments.command = word,
                _ => arguments.words.push(word),
            }
        }
        Ok(arguments)
    }

    /// The word at `index` as a `T`.
    pub fn word<T: FromStr>(&self, index: usize) -> Result<T, String> {
        let word = self.words.get(index).ok_or(format!("argument {} is missing", index + 1))?;
        parse(word)
    }

    /// All words from `index` on.
    pub fn words_from<T: FromStr>(&self, index: usize) -> Result<Vec<T>, String> {
        self.words.iter().skip(index).map(|word| parse(word)).collect()
    }

    pub fn target(&self) -> Result<SocketAddr, String> {
        self.word(0)
    }

    /// The local address for a socket to `target`.
    pub fn local(&self, target: IpAddr) -> SocketAddr {
        let any: IpAddr = match target {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(self.bind.unwrap_or(any), 0)
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("'{word}' is not valid here"))
}

/// Says that the work has begun.
pub fn say_ready() {
    println!("{{\"ready\":true}}");
}

/// Turns true when standard input ends.
pub fn stdin_ends() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}

/// Rounds of a command: a number, or, for 0, until standard input ends.
pub fn rounds(count: u64) -> impl Iterator<Item = u64> {
    let ended = (count == 0).then(|| {
        say_ready();
        stdin_ends()
    });
    (0..).take_while(move |round| match &ended {
        Some(ended) => !ended.load(Ordering::Relaxed),
        None => *round < count,
    })
}
