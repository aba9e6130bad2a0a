/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Flows that pods begin with the outside leave with the node's address. */
#pragma once

#include "nat.h"

#define FL_PORT_TRIES 24

/* Protocols whose port (or identifier) can be rewritten; of others one flow to each destination fits. */
static __always_inline int fl_port_is_ours(const struct fl_packet *p)
{
	return p->kind == FL_KIND_ECHO ||
	       (p->kind == FL_KIND_PORTS && p->tuple.proto != IPPROTO_SCTP);
}

/* Only a packet that begins a flow makes an entry; TCP without SYN answers somebody. */
static __always_inline int fl_begins_flow(const struct fl_packet *p)
{
	if (p->fragment == FL_FRAGMENT_LATER)
		return 0;
	if (p->tuple.proto == IPPROTO_TCP)
		return (p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK)) == FL_TCP_SYN;
	if (p->kind == FL_KIND_ECHO)
		return p->icmp_type == 8 || p->icmp_type == 128;
	return p->kind != FL_KIND_ERROR;
}

/* Seconds after which a flow is over, as the agent has them (crates/datapath/src/nat.rs). */
#define FL_OVER_CLOSING 10
#define FL_OVER_OPENING 60
#define FL_OVER_OTHER 180

static __always_inline int fl_is_over(const struct fl_nat *n, __u8 proto, int established)
{
	__u32 idle = fl_now() - n->seen;

	if (proto != IPPROTO_TCP)
		return idle > FL_OVER_OTHER;
	if (n->flags & FL_NAT_CLOSING)
		return idle > FL_OVER_CLOSING;
	return !established && idle > FL_OVER_OPENING;
}

/*
 * Whether nobody has this port any more: a flow that is over need not wait for the agent to sweep it
 * up, which may be away. Its other half goes.
 */
static __always_inline int fl_port_is_free(const struct fl_tuple *key)
{
	struct fl_tuple forward;
	struct fl_nat *n;

	if (key->proto == IPPROTO_TCP) {
		n = bpf_map_lookup_elem(&fl_nat_tcp, key);
		if (n) {
			if (!fl_is_over(n, key->proto, 1))
				return 0;
			fl_reverse(&forward, &n->to);
			bpf_map_delete_elem(&fl_nat_tcp, &forward);
			bpf_map_delete_elem(&fl_nat_tcp, key);
		}
	}
	n = bpf_map_lookup_elem(&fl_nat_any, key);
	if (n) {
		if (!fl_is_over(n, key->proto, 0))
			return 0;
		fl_reverse(&forward, &n->to);
		bpf_map_delete_elem(&fl_nat_any, &forward);
		bpf_map_delete_elem(&fl_nat_any, key);
	}
	return 1;
}

/* Finds a port that no flow to the same destination has, and keeps it by storing the answer's entry. */
static __always_inline int fl_take_port(const struct fl_packet *p, struct fl_tuple *to, const struct fl_config *config)
{
	__u32 range = config->nat_port_max - config->nat_port_min + 1;
	__u32 start = bpf_get_prandom_u32();
	struct fl_nat answer = {.flags = FL_NAT_MASQUERADE | FL_NAT_REPLY};
	struct fl_tuple key;

	if (!range)
		return FL_DROP_NAT_EXHAUSTED;
	answer.seen = fl_now();
	fl_reverse(&answer.to, &p->tuple);
	for (int i = 0; i < FL_PORT_TRIES; i++) {
		if (fl_port_is_ours(p)) {
			to->sport = bpf_htons(config->nat_port_min + (start + i * 131) % range);
			if (p->kind == FL_KIND_ECHO)
				to->dport = to->sport;
		}
		fl_reverse(&key, to);
		if (!fl_port_is_free(&key))
			continue;
		if (!bpf_map_update_elem(&fl_nat_any, &key, &answer, BPF_NOEXIST))
			return FL_DROP_NONE;
	}
	return FL_DROP_NAT_EXHAUSTED;
}

static __always_inline int fl_masquerade_new(struct __sk_buff *skb, struct fl_packet *p, const struct fl_addr *node,
					     const struct fl_config *config)
{
	struct fl_nat forward = {.flags = FL_NAT_MASQUERADE};
	struct fl_tuple to = p->tuple;
	int reason;

	to.saddr = *node;
	reason = fl_take_port(p, &to, config);
	if (reason)
		return reason;
	forward.to = to;
	forward.seen = fl_now();
	if (bpf_map_update_elem(&fl_nat_any, &p->tuple, &forward, BPF_ANY))
		return FL_DROP_NAT_MAP;
	return fl_rewrite(skb, p, &to);
}

/* A packet of a pod that leaves the cluster by a device with this address. */
static __always_inline int fl_masquerade(struct __sk_buff *skb, struct fl_packet *p, const struct fl_addr *node,
					 const struct fl_config *config)
{
	struct fl_nat *n = 0;
	int known, reason;

	if (p->kind != FL_KIND_ERROR) {
		reason = fl_fragment_ports(p);
		if (reason)
			return reason;
		n = fl_nat_lookup(&p->tuple);
	}
	if (n && (n->flags & (FL_NAT_MASQUERADE | FL_NAT_REPLY)) == FL_NAT_MASQUERADE &&
	    !fl_same(&n->to.saddr, node)) {
		/* the node's address has changed, or the way out: answers to the old one come no more */
		if (p->tuple.proto == IPPROTO_TCP && !fl_begins_flow(p))
			return FL_DROP_NAT_STALE;
		bpf_map_delete_elem(&fl_nat_tcp, &p->tuple);
		bpf_map_delete_elem(&fl_nat_any, &p->tuple);
	}
	reason = fl_nat_known(skb, p, FL_NAT_KINDS_WIRE, &known);
	if (reason || known)
		return reason;
	if (!fl_begins_flow(p))
		return FL_DROP_NONE;
	fl_count_traffic(FL_FORWARD_MASQUERADE, skb->len);
	return fl_masquerade_new(skb, p, node, config);
}

/* A datagram flow that came in from outside: its answers are not masqueraded. */
static __always_inline void fl_note_inbound(struct fl_packet *p)
{
	struct fl_nat n = {.flags = FL_NAT_INBOUND};
	struct fl_tuple answer;
	struct fl_nat *found;

	if (p->tuple.proto == IPPROTO_TCP || p->kind == FL_KIND_ERROR || fl_fragment_ports(p))
		return;
	fl_reverse(&answer, &p->tuple);
	found = bpf_map_lookup_elem(&fl_nat_any, &answer);
	if (found) {
		if (found->seen != fl_now())
			found->seen = fl_now();
		return;
	}
	n.to = answer;
	n.seen = fl_now();
	bpf_map_update_elem(&fl_nat_any, &answer, &n, BPF_NOEXIST);
}
