/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Flows that pods begin with the outside leave with the node's address. */
#pragma once

#include "ports.h"

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

static __always_inline int fl_masquerade_new(struct __sk_buff *skb, struct fl_packet *p, const struct fl_addr *node,
					     const struct fl_config *config)
{
	struct fl_nat forward = {.flags = FL_NAT_MASQUERADE | FL_NAT_REPLY, .seen = fl_now()};
	struct fl_tuple to = p->tuple;
	int reason;

	to.saddr = *node;
	fl_reverse(&forward.to, &p->tuple);
	reason = fl_take_port(p, &to, &forward, config);
	if (reason)
		return reason;
	forward.to = to;
	forward.flags = FL_NAT_MASQUERADE;
	if (bpf_map_update_elem(&fl_nat_any, &p->tuple, &forward, BPF_ANY))
		return FL_DROP_NAT_MAP;
	return fl_rewrite(skb, p, &to);
}

/* The node's address has changed, or the way out: answers to the old one come no more. */
static __always_inline int fl_is_stale(const struct fl_nat *n, const struct fl_addr *node)
{
	return (n->flags & (FL_NAT_MASQUERADE | FL_NAT_REPLY)) == FL_NAT_MASQUERADE && !fl_same(&n->to.saddr, node);
}

/* A packet of a pod that leaves the cluster by a device with this address. */
static __always_inline int fl_masquerade(struct __sk_buff *skb, struct fl_packet *p, const struct fl_addr *node,
					 const struct fl_config *config)
{
	struct fl_nat *n;
	int known, reason;

	if (p->kind == FL_KIND_ERROR)
		return fl_nat_known(skb, p, FL_NAT_KINDS_WIRE, &known);
	reason = fl_fragment_ports(p);
	if (reason)
		return reason;
	n = fl_nat_lookup(&p->tuple);
	if (n && fl_is_stale(n, node)) {
		if (p->tuple.proto == IPPROTO_TCP && !fl_begins_flow(p))
			return FL_DROP_NAT_STALE;
		bpf_map_delete_elem(&fl_nat_tcp, &p->tuple);
		bpf_map_delete_elem(&fl_nat_any, &p->tuple);
		n = 0;
	}
	if (n && n->flags & FL_NAT_KINDS_WIRE)
		return fl_nat_apply(skb, p, n);
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
