//! ICMP errors about flows that are translated: the quoted packet must be the one that the receiver
//! sent (RFC 5508, section 7).

use crate::frame::parse_quoted;
use crate::ip::Ip;
use crate::tables::{Kind, Tables};

const ICMP_HEADER: usize = 8;

/// Translates the error, outside and inside. Nothing where no flow of these kinds is known.
pub(crate) fn translate(tables: &Tables, ip: &mut Ip, kinds: &[Kind]) {
    let (icmp, rest) = ip.payload.split_at(ICMP_HEADER);
    let Some(mut quoted) = parse_quoted(rest, ip.is_v4()) else { return };
    let key = quoted.tuple().reversed();
    let Some(entry) = tables.known(&key, kinds) else { return };
    quoted.rewrite(&entry.to.reversed());
    // the quoted transport checksum is left: the receiver can't check it anyway, as the quote is cut
    ip.payload = [icmp, &quoted.head_bytes(), &quoted.payload].concat();
    if ip.saddr == key.saddr {
        ip.saddr = entry.to.saddr;
    }
    ip.daddr = entry.to.daddr;
}
