//! Pods' packets to the outside take the node's address.

use fairlead_model::Addr;

use crate::Chosen;
use crate::error_message;
use crate::fragment;
use crate::frame::Frame;
use crate::ip::{Ip, Transport, proto};
use crate::tables::{Kind, Tables, Translation, Tuple, Uplink};
use crate::verdict::{Reason, Stop, Unexplained};

/// Masquerades a packet that leaves by `uplink`, if its flow is or is to be.
pub(crate) fn leave(
    tables: &mut Tables,
    frame: &mut Frame,
    uplink: &Uplink,
    chosen: &Chosen<'_>,
) -> Result<(), Stop> {
    let address = if frame.ip.is_v4() { uplink.v4 } else { uplink.v6 };
    let Some(address) = address else { return Ok(()) };
    if frame.ip.transport() == Transport::Error {
        error_message::translate(tables, &mut frame.ip, Kind::AT_WIRE);
        return Ok(());
    }
    let tuple = fragment::tuple(tables, &frame.ip).ok_or(Reason::FragmentOrder)?;
    if is_stale(tables, &tuple, address) {
        if tuple.proto == proto::TCP && !begins_flow(&frame.ip) {
            return Err(Reason::NatStale.into());
        }
        tables.translations.remove(&tuple);
    }
    if let Some(entry) = tables.known(&tuple, Kind::AT_WIRE) {
        frame.ip.rewrite(&entry.to);
    } else if begins_flow(&frame.ip) {
        let plain = Tuple { saddr: address, ..tuple };
        let echo = matches!(frame.ip.transport(), Transport::Echo { .. });
        let to = with_port(tables, &tuple, plain, echo, chosen)?;
        store(tables, &tuple, &to);
        frame.ip.rewrite(&to);
    }
    Ok(())
}

/// Whether the flow was masqueraded by another address than the one it would leave by now.
fn is_stale(tables: &Tables, tuple: &Tuple, address: Addr) -> bool {
    let entry = tables.known(tuple, &[Kind::Masquerade]);
    entry.is_some_and(|entry| !entry.reply && entry.to.saddr != address)
}

fn begins_flow(ip: &Ip) -> bool {
    match ip.transport() {
        Transport::LaterFragment | Transport::Error => false,
        Transport::Echo { request, .. } => request,
        _ if ip.proto == proto::TCP => ip.is_tcp_syn(),
        Transport::Ports { .. } | Transport::Other => true,
    }
}

/// `plain` with a source port that no other flow to the same destination has.
pub(crate) fn with_port(
    tables: &Tables,
    tuple: &Tuple,
    plain: Tuple,
    echo: bool,
    chosen: &Chosen<'_>,
) -> Result<Tuple, Stop> {
    let taken = |to: &Tuple| tables.translations.contains_key(&to.reversed());
    if !echo && !matches!(tuple.proto, proto::TCP | proto::UDP) {
        return if taken(&plain) { Err(Reason::NatExhausted.into()) } else { Ok(plain) };
    }
    let range = tables.config.nat_port_min..=tables.config.nat_port_max;
    let with =
        |port: u16| Tuple { sport: port, dport: if echo { port } else { plain.dport }, ..plain };
    let Some(choice) = chosen(tuple) else {
        // ports are tried at random: none found is possible as soon as one is taken
        let possible = range.clone().any(|port| taken(&with(port)));
        let stop = Unexplained::NotStored(*tuple);
        return Err(if possible { Reason::NatExhausted.into() } else { stop.into() });
    };
    let to = with(choice.sport);
    if !range.contains(&choice.sport) || taken(&to) {
        return Err(Unexplained::Port { tuple: *tuple, to: choice }.into());
    }
    Ok(to)
}

fn store(tables: &mut Tables, from: &Tuple, to: &Tuple) {
    let kind = Kind::Masquerade;
    let there = Translation { to: *to, kind, reply: false, backend: None };
    tables.translations.insert(*from, there);
    let back = Translation { to: from.reversed(), kind, reply: true, backend: None };
    tables.translations.insert(to.reversed(), back);
}
