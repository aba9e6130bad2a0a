//! The node's DNS server: listeners that come and go, bounds, counters.
//!
//! Names of the cluster are answered where they are received, without a task of their own; others
//! are handed to the node's resolvers by tasks of which there is a bounded number.

mod counters;
mod forward;
mod listener;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::counters::Counters;
pub use self::counters::Counts;
use self::listener::Listener;
use crate::Error;
use crate::core::{Reply, Resolvers, Transport, Zone, respond};

/// What a server may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Questions that wait for resolvers; more are answered with SERVFAIL.
    pub forwards: usize,
    /// TCP connections; more are closed.
    pub connections: usize,
    /// How long a TCP connection may be silent.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { forwards: 1024, connections: 256, idle: Duration::from_secs(10) }
    }
}

/// What all listeners share.
struct Shared {
    zone: Arc<RwLock<Zone>>,
    resolvers: RwLock<Arc<Resolvers>>,
    /// Where this server answers: never asked as a resolver.
    own: RwLock<Vec<SocketAddr>>,
    forwards: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    counters: Counters,
    idle: Duration,
}

/// A DNS server. Dropping it closes its listeners.
pub struct Server {
    shared: Arc<Shared>,
    /// By the address that was asked for.
    listeners: BTreeMap<SocketAddr, Listener>,
}

impl Server {
    /// Listens on addresses, which the node need not have yet. Must be called within a runtime.
    pub fn bind(
        addresses: &[SocketAddr],
        zone: Arc<RwLock<Zone>>,
        resolvers: Resolvers,
        limits: Limits,
    ) -> Result<Self, Error> {
        let shared = Shared {
            zone,
            resolvers: RwLock::new(Arc::new(resolvers)),
            own: RwLock::default(),
            forwards: Arc::new(Semaphore::new(limits.forwards)),
            connections: Arc::new(Semaphore::new(limits.connections)),
            counters: Counters::default(),
            idle: limits.idle,
        };
        let mut server = Server { shared: Arc::new(shared), listeners: BTreeMap::new() };
        server.set_addresses(addresses)?;
        Ok(server)
    }

    /// Listens on these addresses and on no others. What can be is done; the first failure is
    /// returned, and another call tries again.
    pub fn set_addresses(&mut self, addresses: &[SocketAddr]) -> Result<(), Error> {
        let mut result = Ok(());
        self.listeners.retain(|address, _| addresses.contains(address));
        for address in addresses {
            if self.listeners.contains_key(address) {
                continue;
            }
            match Listener::open(*address, &self.shared) {
                Ok(listener) => {
                    self.listeners.insert(*address, listener);
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        *self.shared.own.write().expect(NOT_POISONED) = self.local_addresses();
        result
    }

    /// Asks other resolvers from now on.
    pub fn set_resolvers(&self, resolvers: Resolvers) {
        *self.shared.resolvers.write().expect(NOT_POISONED) = Arc::new(resolvers);
    }

    /// Where it listens, with the ports that the kernel chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.values().map(|l| l.local).collect()
    }

    /// What has been answered so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }
}

/// No code panics while it holds one of the locks.
const NOT_POISONED: &str = "no holder of this lock panics";

impl Shared {
    fn zone(&self) -> RwLockReadGuard<'_, Zone> {
        self.zone.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn respond(&self, message: &[u8], transport: Transport) -> Reply {
        let reply = respond(&self.zone(), message, transport);
        self.counters.question(&reply);
        reply
    }
}
