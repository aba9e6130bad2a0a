//! From the datapath's events to flows with names.

use std::sync::{Arc, RwLock};

use fairlead_datapath::Events;
use fairlead_datapath::contract::{DROP_REASONS, Event, HOOKS};
use fairlead_model::Addr;
use fairlead_observe::events::Events as Recent;
use fairlead_observe::flow::{Flow, Peer, Verdict};
use tracing::warn;

use crate::clock;
use crate::names::NameTable;

const BATCH: usize = 256;

/// The hook whose link tells the sender.
const FROM_POD: &str = "from-pod";

/// Reads events until the ring buffer fails.
pub async fn read(mut events: Events, recent: Arc<Recent>, names: Arc<RwLock<NameTable>>) {
    let offset = clock::unix_offset();
    loop {
        match events.next(BATCH).await {
            Ok(batch) => {
                let names = names.read().expect(crate::NOT_POISONED);
                batch.iter().for_each(|event| recent.push(flow(event, offset, &names)));
            }
            Err(e) => {
                warn!("events of the datapath can no longer be read: {e}");
                return;
            }
        }
    }
}

fn peer(addr: [u8; 16], port: u16) -> Peer {
    Peer::new(Addr(addr).ip(), u16::from_be(port))
}

fn flow(event: &Event, offset: u64, names: &NameTable) -> Flow {
    // enum fl_event_kind
    let verdict = match event.kind {
        1 => Verdict::Drop,
        2 => Verdict::New,
        _ => Verdict::Connect,
    };
    let reason = DROP_REASONS.get(event.reason as usize).filter(|_| verdict == Verdict::Drop);
    let link = names.link(event.ifindex);
    let hook = HOOKS.get(event.hook as usize).copied().unwrap_or("?");
    let mut source = peer(event.tuple.saddr, event.tuple.sport);
    if hook == FROM_POD {
        // whatever the packet says
        source.name = link.map(|(_, pod)| pod.clone());
    }
    let mut flow = Flow {
        time: event.time + offset,
        verdict,
        protocol: event.tuple.proto,
        source,
        destination: peer(event.tuple.daddr, event.tuple.dport),
        to: (event.to != [0; 16]).then(|| peer(event.to, event.to_port)),
        hook: hook.to_owned(),
        reason: reason.map(|(_, text)| (*text).to_owned()),
        interface: link.map(|(name, _)| name.clone()),
        length: event.length,
    };
    flow.resolve(names);
    flow
}
