/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Translations: an entry says that a packet with this tuple becomes that tuple. A flow has two,
 * forward and answer; each names the other: the pair of (key, to) is (reverse of to, reverse of key).
 */
#pragma once

#include "frag.h"
#include "report.h"
#include "rewrite.h"

/* What a hook translates: a flow to a Service that leaves the cluster has entries of both kinds. */
#define FL_NAT_KINDS_POD FL_NAT_SERVICE
#define FL_NAT_KINDS_WIRE (FL_NAT_MASQUERADE | FL_NAT_INBOUND)

static __always_inline struct fl_nat *fl_nat_lookup(const struct fl_tuple *t)
{
	if (t->proto == IPPROTO_TCP) {
		struct fl_nat *n = bpf_map_lookup_elem(&fl_nat_tcp, t);

		if (n)
			return n;
	}
	return bpf_map_lookup_elem(&fl_nat_any, t);
}

/* The handshake is done: out of reach of floods of half-open flows. */
static __always_inline void fl_nat_establish(const struct fl_tuple *key, const struct fl_nat *n)
{
	struct fl_nat copy = *n, *pair;
	struct fl_tuple other;

	fl_reverse(&other, &copy.to);
	pair = bpf_map_lookup_elem(&fl_nat_tcp, &other);
	if (pair) {
		/* this half was lost and made again */
		if (!bpf_map_update_elem(&fl_nat_tcp, key, &copy, BPF_ANY))
			bpf_map_delete_elem(&fl_nat_any, key);
		return;
	}
	pair = bpf_map_lookup_elem(&fl_nat_any, &other);
	if (!pair || !(pair->flags & FL_NAT_SEEN_REPLY))
		return;
	if (bpf_map_update_elem(&fl_nat_tcp, key, &copy, BPF_ANY))
		return;
	copy = *pair;
	if (bpf_map_update_elem(&fl_nat_tcp, &other, &copy, BPF_ANY))
		return;
	bpf_map_delete_elem(&fl_nat_any, key);
	bpf_map_delete_elem(&fl_nat_any, &other);
}

/* Once a second and flow: keeps both halves of a pair from eviction and time-out, and makes a lost half again. */
static __always_inline void fl_nat_keep_pair(const struct fl_tuple *key, const struct fl_nat *n)
{
	struct fl_nat pair, *found;
	struct fl_tuple other;

	fl_reverse(&other, &n->to);
	found = fl_nat_lookup(&other);
	if (found) {
		found->seen = n->seen;
		return;
	}
	pair = *n;
	pair.flags = (n->flags ^ FL_NAT_REPLY) & ~FL_NAT_SEEN_REPLY;
	fl_reverse(&pair.to, key);
	bpf_map_update_elem(&fl_nat_any, &other, &pair, BPF_NOEXIST);
}

/* Notes that a packet used this entry. */
static __always_inline void fl_nat_used(const struct fl_packet *p, struct fl_nat *n)
{
	__u32 now = fl_now();

	if (p->tuple.proto == IPPROTO_TCP && (p->tcp_flags & FL_TCP_SYN))
		n->flags &= ~(FL_NAT_CLOSING | FL_NAT_SEEN_REPLY); /* the ports are used again */
	if (p->tuple.proto == IPPROTO_TCP && (p->tcp_flags & (FL_TCP_FIN | FL_TCP_RST)))
		n->flags |= FL_NAT_CLOSING;
	if ((n->flags & (FL_NAT_REPLY | FL_NAT_SEEN_REPLY)) == FL_NAT_REPLY)
		n->flags |= FL_NAT_SEEN_REPLY;
	if (n->seen != now) {
		n->seen = now;
		if (!(n->flags & FL_NAT_INBOUND))
			fl_nat_keep_pair(&p->tuple, n);
	}
	if (p->tuple.proto == IPPROTO_TCP && !(n->flags & (FL_NAT_REPLY | FL_NAT_CLOSING)) &&
	    (p->tcp_flags & (FL_TCP_ACK | FL_TCP_SYN)) == FL_TCP_ACK &&
	    !bpf_map_lookup_elem(&fl_nat_tcp, &p->tuple))
		fl_nat_establish(&p->tuple, n);
}

/* Rewrites a packet of a known flow. */
static __always_inline int fl_nat_apply(struct __sk_buff *skb, struct fl_packet *p, struct fl_nat *n)
{
	struct fl_tuple to = n->to;

	fl_nat_used(p, n);
	return fl_rewrite(skb, p, &to);
}

/* Rewrites the packet that an ICMP error quotes; the error's own checksum with it. */
static __always_inline int fl_rewrite_quoted(struct __sk_buff *skb, struct fl_packet *p, struct fl_packet *inner,
					     const struct fl_tuple *to)
{
	__u32 csum = p->l4 + FL_CSUM_ICMP;
	__be16 old[2] = {inner->tuple.sport, inner->tuple.dport}, new[2] = {to->sport, to->dport};
	__s64 diff;

	/* IPv4: the quoted header's checksum takes up the addresses' difference, the error's stays */
	if (fl_rewrite_addrs(skb, inner, to, &diff))
		return FL_DROP_REWRITE;
	if (!p->v4 && bpf_l4_csum_replace(skb, csum, 0, diff, 0))
		return FL_DROP_REWRITE;
	if (inner->fragment == FL_FRAGMENT_LATER)
		return FL_DROP_NONE;
	if (inner->kind == FL_KIND_ECHO)
		return fl_rewrite_port(skb, inner->l4 + 4, csum, 0, old[0], new[0]);
	if (inner->kind != FL_KIND_PORTS)
		return FL_DROP_NONE;
	if (fl_rewrite_port(skb, inner->l4, csum, 0, old[0], new[0]))
		return FL_DROP_REWRITE;
	return fl_rewrite_port(skb, inner->l4 + 2, csum, 0, old[1], new[1]);
}

/*
 * Turns an ICMP error about a translated packet so that its receiver knows the packet again. The
 * error travels against the packet it quotes: the entry for that way tells both translations.
 */
static __always_inline int fl_nat_error(struct __sk_buff *skb, struct fl_packet *p, const struct fl_packet *quoted,
					__u32 kinds)
{
	struct fl_packet inner = *quoted;
	struct fl_tuple key, to, outer;
	struct fl_nat *n;

	fl_reverse(&key, &inner.tuple);
	n = fl_nat_lookup(&key);
	if (!n || !(n->flags & kinds))
		return FL_DROP_NONE;
	outer = p->tuple;
	if (fl_same(&outer.saddr, &key.saddr))
		outer.saddr = n->to.saddr;
	outer.daddr = n->to.daddr;
	fl_reverse(&to, &n->to);
	if (fl_rewrite_quoted(skb, p, &inner, &to))
		return FL_DROP_REWRITE;
	return fl_rewrite(skb, p, &outer);
}

/* Parses the packet that an error quotes; answers whether it could. */
static __always_inline int fl_parse_quoted(struct __sk_buff *skb, const struct fl_packet *p, struct fl_packet *inner)
{
	__builtin_memset(inner, 0, sizeof(*inner));
	inner->l3 = p->l4 + 8;
	return (p->v4 ? fl_parse_v4(skb, inner, 1) : fl_parse_v6(skb, inner, 1)) == FL_DROP_NONE;
}

/*
 * Translates the packet if its flow, or the flow that its ICMP error is about, is known and of one of
 * these kinds. *known says whether it was.
 */
static __always_inline int fl_nat_known(struct __sk_buff *skb, struct fl_packet *p, __u32 kinds, int *known)
{
	struct fl_nat *n;
	int reason;

	*known = 0;
	if (p->kind == FL_KIND_ERROR) {
		struct fl_packet inner;

		*known = 1; /* an error begins no flow */
		if (!fl_parse_quoted(skb, p, &inner))
			return FL_DROP_NONE;
		return fl_nat_error(skb, p, &inner, kinds);
	}
	reason = fl_fragment_ports(p);
	if (reason)
		return reason;
	n = fl_nat_lookup(&p->tuple);
	if (!n || !(n->flags & kinds))
		return FL_DROP_NONE;
	*known = 1;
	return fl_nat_apply(skb, p, n);
}
