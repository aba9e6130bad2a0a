//! Ports of fragments: the first one has them, later ones take them from there.

use crate::ip::Ip;
use crate::tables::{FragmentKey, Tables, Tuple};

/// The packet's tuple with its ports. `None` for a later fragment whose first was not seen.
pub(crate) fn tuple(tables: &mut Tables, ip: &Ip) -> Option<Tuple> {
    let mut tuple = ip.tuple();
    let Some(fragment) = ip.fragment.filter(|_| ip.has_ports() || ip.is_icmp()) else {
        return Some(tuple);
    };
    let key = FragmentKey { saddr: ip.saddr, daddr: ip.daddr, id: fragment.id, proto: ip.proto };
    if fragment.first {
        tables.fragments.insert(key, (tuple.sport, tuple.dport));
    } else {
        (tuple.sport, tuple.dport) = *tables.fragments.get(&key)?;
    }
    Some(tuple)
}
