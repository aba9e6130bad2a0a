/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Makes a packet say another tuple: addresses, ports and checksums. */
#pragma once

#include "parse.h"

#define FL_CSUM_TCP 16
#define FL_CSUM_UDP 6
#define FL_CSUM_ICMP 2

/* Checksum difference from old to new; the families apart so that the verifier sees constant sizes. */
static __always_inline __s64 fl_addr_diff(const struct fl_packet *p, const struct fl_addr *old,
					  const struct fl_addr *new, __s64 seed)
{
	if (p->v4)
		return bpf_csum_diff(fl_words(old) + 3, 4, fl_words(new) + 3, 4, seed);
	return bpf_csum_diff(fl_words(old), 16, fl_words(new), 16, seed);
}

static __always_inline int fl_store_addr(struct __sk_buff *skb, __u8 v4, __u32 off, const struct fl_addr *a)
{
	if (v4)
		return bpf_skb_store_bytes(skb, off, a->bytes + 12, 4, 0);
	return bpf_skb_store_bytes(skb, off, a->bytes, 16, 0);
}

static __always_inline __u32 fl_saddr_off(const struct fl_packet *p)
{
	return p->l3 + (p->v4 ? 12 : 8);
}

static __always_inline __u32 fl_daddr_off(const struct fl_packet *p)
{
	return p->l3 + (p->v4 ? 16 : 24);
}

/* Rewrites addresses; *diff gets their checksum difference. Also mends the IPv4 header's own. */
static __always_inline int fl_rewrite_addrs(struct __sk_buff *skb, struct fl_packet *p, const struct fl_tuple *to,
					    __s64 *diff)
{
	*diff = 0;
	if (!fl_same(&p->tuple.saddr, &to->saddr)) {
		*diff = fl_addr_diff(p, &p->tuple.saddr, &to->saddr, *diff);
		if (fl_store_addr(skb, p->v4, fl_saddr_off(p), &to->saddr))
			return FL_DROP_REWRITE;
	}
	if (!fl_same(&p->tuple.daddr, &to->daddr)) {
		*diff = fl_addr_diff(p, &p->tuple.daddr, &to->daddr, *diff);
		if (fl_store_addr(skb, p->v4, fl_daddr_off(p), &to->daddr))
			return FL_DROP_REWRITE;
	}
	if (p->v4 && bpf_l3_csum_replace(skb, p->l3 + 10, 0, *diff, 0))
		return FL_DROP_REWRITE;
	return FL_DROP_NONE;
}

static __always_inline int fl_rewrite_port(struct __sk_buff *skb, __u32 off, __u32 csum, __u64 flags, __be16 old,
					   __be16 new)
{
	if (old == new)
		return FL_DROP_NONE;
	if (bpf_l4_csum_replace(skb, csum, old, new, 2 | flags) || bpf_skb_store_bytes(skb, off, &new, 2, 0))
		return FL_DROP_REWRITE;
	return FL_DROP_NONE;
}

/* Rewrites the packet from p->tuple to `to` (of the same family and protocol). */
static __always_inline int fl_rewrite(struct __sk_buff *skb, struct fl_packet *p, const struct fl_tuple *to)
{
	__u64 flags = 0;
	__u32 csum;
	__s64 diff;
	int reason = fl_rewrite_addrs(skb, p, to, &diff);

	if (reason)
		return reason;
	if (p->fragment == FL_FRAGMENT_LATER)
		goto done;
	switch (p->tuple.proto) {
	case IPPROTO_TCP:
		csum = p->l4 + FL_CSUM_TCP;
		break;
	case IPPROTO_UDP:
		csum = p->l4 + FL_CSUM_UDP;
		flags = BPF_F_MARK_MANGLED_0; /* zero means none (RFC 768) */
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		csum = p->l4 + FL_CSUM_ICMP;
		break;
	default:
		/* SCTP's checksum covers neither; its ports stay as they are */
		goto done;
	}
	if (p->tuple.proto != IPPROTO_ICMP && /* ICMP for IPv4 has no pseudo-header */
	    bpf_l4_csum_replace(skb, csum, 0, diff, BPF_F_PSEUDO_HDR | flags))
		return FL_DROP_REWRITE;
	/*
	 * The helper above takes the difference out of skb->csum (CHECKSUM_COMPLETE) as IPv4 wants it, whose
	 * header checksum balances the addresses; IPv6 has none, and addresses and checksum balance already.
	 */
	if (!p->v4)
		bpf_csum_update(skb, diff);
	if (p->kind == FL_KIND_ECHO) {
		reason = fl_rewrite_port(skb, p->l4 + 4, csum, flags, p->tuple.sport, to->sport);
	} else if (p->kind == FL_KIND_PORTS) {
		reason = fl_rewrite_port(skb, p->l4, csum, flags, p->tuple.sport, to->sport);
		if (!reason)
			reason = fl_rewrite_port(skb, p->l4 + 2, csum, flags, p->tuple.dport, to->dport);
	}
	if (reason)
		return reason;
done:
	p->tuple = *to;
	return FL_DROP_NONE;
}
