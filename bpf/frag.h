/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Fragments follow their first fragment: it has the ports, the others only an identification. */
#pragma once

#include "maps.h"
#include "parse.h"

/*
 * To be called before the tuple's ports are used. Stores the ports of a first fragment, fills in
 * those of a later one; answers a drop reason.
 */
static __always_inline int fl_fragment_ports(struct fl_packet *p)
{
	struct fl_frag_key key = {};
	struct fl_frag *found, ports;

	if (p->fragment == FL_FRAGMENT_NONE)
		return FL_DROP_NONE;
	/* a later fragment of ICMP has no kind of its own, but its first may be an echo */
	if (p->kind == FL_KIND_OTHER && p->tuple.proto != (p->v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return FL_DROP_NONE;
	key.saddr = p->tuple.saddr;
	key.daddr = p->tuple.daddr;
	key.id = p->frag_id;
	key.proto = p->tuple.proto;
	if (p->fragment == FL_FRAGMENT_FIRST) {
		ports.sport = p->tuple.sport;
		ports.dport = p->tuple.dport;
		bpf_map_update_elem(&fl_frags, &key, &ports, BPF_ANY);
		return FL_DROP_NONE;
	}
	found = bpf_map_lookup_elem(&fl_frags, &key);
	if (!found)
		return FL_DROP_FRAGMENT_ORDER;
	p->tuple.sport = found->sport;
	p->tuple.dport = found->dport;
	return FL_DROP_NONE;
}
