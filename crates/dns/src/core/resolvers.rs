//! The node's resolvers, from the text of its `resolv.conf` (resolv.conf(5)).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 53;
/// Without an option. The C library waits 5 s, but then a client that waits as long has given up
/// before a second resolver is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;
/// The C library's caps.
const MAX_TIMEOUT: u64 = 30;
const MAX_ATTEMPTS: u32 = 5;

/// Where names outside of the cluster are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolvers {
    /// In the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// How long one is waited for.
    pub timeout: Duration,
    /// How often all are asked.
    pub attempts: u32,
}

impl Default for Resolvers {
    fn default() -> Self {
        Resolvers { servers: Vec::new(), timeout: TIMEOUT, attempts: ATTEMPTS }
    }
}

impl Resolvers {
    /// Reads `nameserver` and `options`; `own` are addresses at which this server answers, which
    /// would ask itself. What is not understood is skipped, as the C library does.
    pub fn parse(text: &str, own: &[IpAddr]) -> Self {
        let mut resolvers = Resolvers::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let ip = words.next().and_then(|w| w.parse::<IpAddr>().ok());
                    resolvers.add(ip.filter(|ip| !own.contains(ip)));
                }
                Some("options") => words.for_each(|option| resolvers.option(option)),
                _ => {}
            }
        }
        resolvers
    }

    fn add(&mut self, ip: Option<IpAddr>) {
        let Some(server) = ip.map(|ip| SocketAddr::new(ip, PORT)) else { return };
        if !self.servers.contains(&server) {
            self.servers.push(server);
        }
    }

    fn option(&mut self, option: &str) {
        match option.split_once(':') {
            Some(("timeout", n)) => {
                if let Ok(n) = n.parse::<u64>() {
                    self.timeout = Duration::from_secs(n.clamp(1, MAX_TIMEOUT));
                }
            }
            Some(("attempts", n)) => {
                if let Ok(n) = n.parse::<u32>() {
                    self.attempts = n.clamp(1, MAX_ATTEMPTS);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_in_order_without_ourselves() {
        let text = "# comment\nsearch example.com\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\n\
                    nameserver 10.96.0.10\nnameserver bad\nnameserver 192.0.2.1\n;nameserver 192.0.2.9\n\
                    options ndots:5 timeout:1 attempts:9";
        let resolvers = Resolvers::parse(text, &["10.96.0.10".parse().unwrap()]);
        let wanted: Vec<SocketAddr> =
            vec!["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
        assert_eq!(resolvers.servers, wanted);
        assert_eq!(resolvers.timeout, Duration::from_secs(1));
        assert_eq!(resolvers.attempts, 5);
    }

    #[test]
    fn an_empty_text_has_no_resolvers() {
        assert_eq!(Resolvers::parse("", &[]), Resolvers::default());
    }
}
