//! Recent flows, and those who follow them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::flow::Flow;

/// Keeps the last flows and hands new ones to whoever follows. Nobody can slow the writer down: who
/// reads too slowly is told how many flows it lost.
#[derive(Debug)]
pub struct Events {
    /// Held while a flow goes into both, so that a follower sees each flow once.
    recent: Mutex<VecDeque<Arc<Flow>>>,
    capacity: usize,
    sender: broadcast::Sender<Arc<Flow>>,
    followers: Arc<watch::Sender<usize>>,
}

/// What a follower reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A flow.
    Flow(Arc<Flow>),
    /// So many flows came and went unread.
    Lost(u64),
}

/// A follower of flows.
#[derive(Debug)]
pub struct Follower {
    receiver: broadcast::Receiver<Arc<Flow>>,
    followers: Arc<watch::Sender<usize>>,
}

impl Events {
    /// Keeps the last `capacity` flows (at least one); a follower may be as many behind.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Events {
            recent: Mutex::new(VecDeque::with_capacity(capacity)),
            capacity,
            sender: broadcast::Sender::new(capacity),
            followers: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Adds a flow.
    pub fn push(&self, flow: Flow) {
        let flow = Arc::new(flow);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == self.capacity {
            recent.pop_front();
        }
        recent.push_back(flow.clone());
        // It fails when nobody follows, which is no fault.
        let _ = self.sender.send(flow);
    }

    /// The recent past, oldest first.
    pub fn recent(&self) -> Vec<Arc<Flow>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().cloned().collect()
    }

    /// The recent past, oldest first, and what follows it: no flow is missing or twice.
    pub fn follow(&self) -> (Vec<Arc<Flow>>, Follower) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        self.followers.send_modify(|n| *n += 1);
        (recent.iter().cloned().collect(), Follower { receiver, followers: self.followers.clone() })
    }

    /// The number of followers, as it changes: the datapath need not report new flows to nobody.
    pub fn followers(&self) -> watch::Receiver<usize> {
        self.followers.subscribe()
    }
}

impl Follower {
    /// Waits for the next flow; `None` when the [`Events`] are gone and all was read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Next> {
        match self.receiver.recv().await {
            Ok(flow) => Some(Next::Flow(flow)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Next::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.send_modify(|n| *n -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::connect;

    fn push(events: &Events, times: std::ops::Range<u64>) {
        for time in times {
            events.push(Flow { time, ..connect() });
        }
    }

    fn times(flows: &[Arc<Flow>]) -> Vec<u64> {
        flows.iter().map(|f| f.time).collect()
    }

    async fn read(follower: &mut Follower, count: usize) -> Vec<Result<u64, u64>> {
        let mut read = Vec::new();
        for _ in 0..count {
            read.push(match follower.next().await.unwrap() {
                Next::Flow(flow) => Ok(flow.time),
                Next::Lost(count) => Err(count),
            });
        }
        read
    }

    #[tokio::test]
    async fn a_follower_gets_the_recent_past_and_then_what_comes() {
        let events = Events::new(4);
        push(&events, 0..6);
        let (past, mut follower) = events.follow();
        assert_eq!(times(&past), [2, 3, 4, 5]);
        push(&events, 6..8);
        assert_eq!(read(&mut follower, 2).await, [Ok(6), Ok(7)]);
        drop(events);
        assert_eq!(follower.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_how_many_flows_it_lost() {
        let events = Events::new(4);
        let (past, mut follower) = events.follow();
        assert!(past.is_empty());
        push(&events, 0..10);
        assert_eq!(read(&mut follower, 5).await, [Err(6), Ok(6), Ok(7), Ok(8), Ok(9)]);
    }

    #[tokio::test]
    async fn the_number_of_followers_is_known() {
        let events = Events::new(4);
        let count = events.followers();
        let (_, one) = events.follow();
        let (_, two) = events.follow();
        assert_eq!(*count.borrow(), 2);
        drop((one, two));
        assert_eq!(*count.borrow(), 0);
    }

    // The channel rounds its capacity up to a power of two.
    #[tokio::test]
    async fn what_is_lost_and_what_is_read_adds_up() {
        let events = Events::new(5);
        let (_, mut follower) = events.follow();
        push(&events, 0..100);
        drop(events);
        let (mut lost, mut seen) = (0, 0);
        while let Some(next) = follower.next().await {
            match next {
                Next::Flow(_) => seen += 1,
                Next::Lost(count) => lost += count,
            }
        }
        assert_eq!(lost + seen, 100);
        assert!(seen >= 5);
    }
}
