/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Source ports for translated flows. */
#pragma once

#include "nat.h"

#define FL_PORT_TRIES 24

/* Protocols whose port (or identifier) can be rewritten; of others one flow to each destination fits. */
static __always_inline int fl_port_is_ours(const struct fl_packet *p)
{
	return p->kind == FL_KIND_ECHO ||
	       (p->kind == FL_KIND_PORTS && p->tuple.proto != IPPROTO_SCTP);
}

/*
 * Seconds after which a flow is over, as the agent has them (crates/datapath/src/nat.rs). A closed
 * connection's port rests longer than its server may be in TIME-WAIT (Linux: 60 s), where it drops SYNs
 * with older timestamps, as another pod's can be; when no other port is found, it rests as long as
 * late packets may come.
 */
#define FL_OVER_CLOSING 65
#define FL_OVER_CLOSING_AT_NEED 10
#define FL_OVER_OPENING 60
#define FL_OVER_OTHER 180

static __always_inline int fl_is_over(const struct fl_nat *n, __u8 proto, int established, int need)
{
	__u32 idle = fl_now() - n->seen;

	if (proto != IPPROTO_TCP)
		return idle > FL_OVER_OTHER;
	if (n->flags & FL_NAT_CLOSING)
		return idle > (need ? FL_OVER_CLOSING_AT_NEED : FL_OVER_CLOSING);
	return !established && idle > FL_OVER_OPENING;
}

/*
 * Whether nobody has this port any more: a flow that is over need not wait for the agent to sweep it
 * up, which may be away. Its other half goes.
 */
static __always_inline int fl_port_is_free(const struct fl_tuple *key, int need)
{
	struct fl_tuple forward;
	struct fl_nat *n;

	if (key->proto == IPPROTO_TCP) {
		n = bpf_map_lookup_elem(&fl_nat_tcp, key);
		if (n) {
			if (!fl_is_over(n, key->proto, 1, need))
				return 0;
			fl_reverse(&forward, &n->to);
			bpf_map_delete_elem(&fl_nat_tcp, &forward);
			bpf_map_delete_elem(&fl_nat_tcp, key);
		}
	}
	n = bpf_map_lookup_elem(&fl_nat_any, key);
	if (n) {
		if (!fl_is_over(n, key->proto, 0, need))
			return 0;
		fl_reverse(&forward, &n->to);
		bpf_map_delete_elem(&fl_nat_any, &forward);
		bpf_map_delete_elem(&fl_nat_any, key);
	}
	return 1;
}

/*
 * Finds a source port, of those that neither pods nor the node use by themselves, that no flow to the
 * same destination has, and keeps it by storing the answer's entry.
 */
static __always_inline int fl_take_port(const struct fl_packet *p, struct fl_tuple *to, const struct fl_nat *answer,
					const struct fl_config *config)
{
	__u32 range = config->nat_port_max - config->nat_port_min + 1;
	__u32 start = bpf_get_prandom_u32();
	struct fl_tuple key;

	if (!range)
		return FL_DROP_NAT_EXHAUSTED;
	for (int i = 0; i < FL_PORT_TRIES; i++) {
		if (fl_port_is_ours(p)) {
			to->sport = bpf_htons(config->nat_port_min + (start + i * 131) % range);
			if (p->kind == FL_KIND_ECHO)
				to->dport = to->sport;
		}
		fl_reverse(&key, to);
		if (!fl_port_is_free(&key, i >= FL_PORT_TRIES / 2))
			continue;
		if (!bpf_map_update_elem(&fl_nat_any, &key, answer, BPF_NOEXIST))
			return FL_DROP_NONE;
	}
	return FL_DROP_NAT_EXHAUSTED;
}
