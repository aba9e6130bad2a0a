//! Services by packet.

use crate::Chosen;
use crate::fragment;
use crate::frame::Frame;
use crate::ip::proto;
use crate::masquerade;
use crate::tables::{Backend, FrontendKey, Kind, Tables, Translation, Tuple};
use crate::verdict::{Reason, Stop, Unexplained};

/// Translates a packet to a Service, or of a flow that is known. `false` where it is neither.
pub(crate) fn translate(
    tables: &mut Tables,
    frame: &mut Frame,
    chosen: &Chosen<'_>,
) -> Result<bool, Stop> {
    let tuple = fragment::tuple(tables, &frame.ip).ok_or(Reason::FragmentOrder)?;
    let to = match known(tables, frame, &tuple) {
        Some(to) => to,
        None => match begin(tables, &tuple, chosen)? {
            Some(to) => to,
            None => return Ok(false),
        },
    };
    frame.ip.rewrite(&to);
    Ok(true)
}

/// What the flow became before, while that still holds.
fn known(tables: &Tables, frame: &Frame, tuple: &Tuple) -> Option<Tuple> {
    tables.endpoints.get(&tuple.saddr).filter(|client| client.translated)?;
    let entry = tables.known(tuple, Kind::AT_POD)?;
    let asks = tuple.proto != proto::TCP || frame.ip.is_tcp_syn();
    let ended = entry.backend.is_some_and(|(backend, life)| tables.life(&backend) != Some(life));
    (!(asks && ended)).then_some(entry.to)
}

fn begin(tables: &mut Tables, tuple: &Tuple, chosen: &Chosen<'_>) -> Result<Option<Tuple>, Stop> {
    let key = FrontendKey { addr: tuple.daddr, port: tuple.dport, proto: tuple.proto };
    let Some(backends) = tables.frontend(&key) else { return Ok(None) };
    if backends.is_empty() {
        return Err(Reason::NoBackend.into());
    }
    let Some(choice) = chosen(tuple) else {
        // which backend had no port left is not told: one must be able to have none
        let without = |backend: &Backend| toward(tables, tuple, backend, chosen).err();
        let why = backends
            .iter()
            .filter_map(without)
            .min_by_key(|stop| !matches!(stop, Stop::Drop(Reason::NatExhausted)));
        return Err(why.unwrap_or_else(|| Unexplained::NotStored(*tuple).into()));
    };
    let backend = Backend { addr: choice.daddr, port: choice.dport, proto: tuple.proto };
    let (true, Some(life)) = (backends.contains(&backend), tables.life(&backend)) else {
        return Err(Unexplained::Backend { tuple: *tuple, to: choice }.into());
    };
    let to = toward(tables, tuple, &backend, chosen)?;
    store(tables, tuple, &to, (backend, life));
    Ok(Some(to))
}

/// What the flow becomes on its way to a backend: from a port that the client does not choose by
/// itself, and, to the client itself, from the Service's address.
fn toward(
    tables: &Tables,
    tuple: &Tuple,
    backend: &Backend,
    chosen: &Chosen<'_>,
) -> Result<Tuple, Stop> {
    let mut plain = Tuple { daddr: backend.addr, dport: backend.port, ..*tuple };
    if plain.daddr == plain.saddr {
        // a pod does not take packets from its own address off the wire
        plain.saddr = tuple.daddr;
    }
    masquerade::with_port(tables, tuple, plain, false, chosen)
}

fn store(tables: &mut Tables, from: &Tuple, to: &Tuple, backend: (Backend, u64)) {
    let (kind, reply) = (Kind::Service, false);
    let back = Translation { to: from.reversed(), kind, reply: true, backend: None };
    tables.translations.insert(to.reversed(), back);
    let there = Translation { to: *to, kind, reply, backend: Some(backend) };
    tables.translations.insert(*from, there);
    if let Some(client) = tables.endpoints.get_mut(&from.saddr) {
        client.translated = true;
    }
}
