/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to struct fl_packet. Knows the families; what stands behind it does not. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include "addr.h"

#define FL_TCP_FIN 0x01
#define FL_TCP_SYN 0x02
#define FL_TCP_RST 0x04
#define FL_TCP_ACK 0x10

enum fl_kind {
	FL_KIND_PORTS = 0,  /* TCP, UDP, SCTP: the tuple has ports */
	FL_KIND_ECHO = 1,   /* ICMP echo: both ports hold the identifier */
	FL_KIND_ERROR = 2,  /* ICMP error: carries the packet it is about */
	FL_KIND_OTHER = 3,  /* no ports */
};

enum fl_fragment {
	FL_FRAGMENT_NONE = 0,
	FL_FRAGMENT_FIRST = 1,
	FL_FRAGMENT_LATER = 2,
};

struct fl_packet {
	struct fl_tuple tuple;
	__u32 frag_id;
	__u16 l3;       /* offset of the IP header */
	__u16 l4;       /* offset of the transport header */
	__u8 v4;
	__u8 kind;      /* enum fl_kind */
	__u8 fragment;  /* enum fl_fragment */
	__u8 tcp_flags;
	__u8 ttl;
	__u8 icmp_type;
	__u8 pad[2];
};

#define FL_MAX_EXTENSIONS 6

/* quoted: inside an ICMP error only 8 bytes of the transport header are sure (RFC 792). */
static __always_inline int fl_parse_l4(struct __sk_buff *skb, struct fl_packet *p, int quoted)
{
	struct fl_tuple *t = &p->tuple;
	__u8 icmp[8];

	p->kind = FL_KIND_OTHER;
	/* options and extension headers may say more than there is */
	if (p->l4 > skb->len)
		return FL_DROP_MALFORMED;
	if (p->fragment == FL_FRAGMENT_LATER) {
		/* ports are the first fragment's: see frag.h */
		if (t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP || t->proto == IPPROTO_SCTP)
			p->kind = FL_KIND_PORTS;
		return FL_DROP_NONE;
	}
	switch (t->proto) {
	case IPPROTO_TCP: {
		__u8 flags = 0;

		if (!quoted && (p->l4 + 20 > skb->len || bpf_skb_load_bytes(skb, p->l4 + 13, &flags, 1)))
			return FL_DROP_MALFORMED;
		p->tcp_flags = flags;
	}
	/* fallthrough */
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (!quoted && p->l4 + (t->proto == IPPROTO_SCTP ? 12 : 8) > skb->len)
			return FL_DROP_MALFORMED;
		if (bpf_skb_load_bytes(skb, p->l4, &t->sport, 4))
			return FL_DROP_MALFORMED;
		p->kind = FL_KIND_PORTS;
		return FL_DROP_NONE;
	case IPPROTO_ICMP:
		if (!p->v4)
			return FL_DROP_NONE;
		if (bpf_skb_load_bytes(skb, p->l4, icmp, 8))
			return FL_DROP_MALFORMED;
		p->icmp_type = icmp[0];
		if (icmp[0] == 8 || icmp[0] == 0) { /* RFC 792: echo, echo reply */
			p->kind = FL_KIND_ECHO;
			t->sport = t->dport = *(__be16 *)&icmp[4];
		} else if (icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12) {
			p->kind = FL_KIND_ERROR;
		}
		return FL_DROP_NONE;
	case IPPROTO_ICMPV6:
		if (p->v4)
			return FL_DROP_NONE;
		if (bpf_skb_load_bytes(skb, p->l4, icmp, 8))
			return FL_DROP_MALFORMED;
		p->icmp_type = icmp[0];
		if (icmp[0] == 128 || icmp[0] == 129) { /* RFC 4443, 4 */
			p->kind = FL_KIND_ECHO;
			t->sport = t->dport = *(__be16 *)&icmp[4];
		} else if (icmp[0] >= 1 && icmp[0] <= 4) {
			p->kind = FL_KIND_ERROR;
		}
		return FL_DROP_NONE;
	}
	return FL_DROP_NONE;
}

/* Walks IPv6 extension headers (RFC 8200, 4) from *next at *off. */
static __always_inline int fl_parse_extensions(struct __sk_buff *skb, struct fl_packet *p, __u8 next)
{
	__u8 ext[8];

	for (int i = 0; i < FL_MAX_EXTENSIONS; i++) {
		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (bpf_skb_load_bytes(skb, p->l4, ext, 2))
				return FL_DROP_MALFORMED;
			next = ext[0];
			p->l4 += (ext[1] + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (bpf_skb_load_bytes(skb, p->l4, ext, 8))
				return FL_DROP_MALFORMED;
			next = ext[0];
			p->frag_id = *(__u32 *)&ext[4];
			if (*(__be16 *)&ext[2] & bpf_htons(0xfff8))
				p->fragment = FL_FRAGMENT_LATER;
			else if (*(__be16 *)&ext[2] & bpf_htons(1))
				p->fragment = FL_FRAGMENT_FIRST;
			p->l4 += 8;
			if (p->fragment == FL_FRAGMENT_LATER) {
				p->tuple.proto = next;
				return FL_DROP_NONE;
			}
			break;
		default:
			p->tuple.proto = next;
			return FL_DROP_NONE;
		}
	}
	if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT)
		return FL_DROP_EXTENSION_HEADERS;
	p->tuple.proto = next;
	return FL_DROP_NONE;
}

/* Parses the IP header at p->l3 and what follows. */
static __always_inline int fl_parse_v4(struct __sk_buff *skb, struct fl_packet *p, int quoted)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return FL_DROP_MALFORMED;
	if (ip.version != 4 || ip.ihl < 5)
		return FL_DROP_MALFORMED;
	p->v4 = 1;
	p->ttl = ip.ttl;
	p->l4 = p->l3 + ip.ihl * 4;
	fl_map_v4(&p->tuple.saddr, ip.saddr);
	fl_map_v4(&p->tuple.daddr, ip.daddr);
	p->tuple.proto = ip.protocol;
	p->frag_id = ip.id;
	if (ip.frag_off & bpf_htons(0x1fff))
		p->fragment = FL_FRAGMENT_LATER;
	else if (ip.frag_off & bpf_htons(0x2000))
		p->fragment = FL_FRAGMENT_FIRST;
	return fl_parse_l4(skb, p, quoted);
}

static __always_inline int fl_parse_v6(struct __sk_buff *skb, struct fl_packet *p, int quoted)
{
	struct ipv6hdr ip;
	int reason;

	if (bpf_skb_load_bytes(skb, p->l3, &ip, sizeof(ip)))
		return FL_DROP_MALFORMED;
	if (ip.version != 6)
		return FL_DROP_MALFORMED;
	p->v4 = 0;
	p->ttl = ip.hop_limit;
	p->l4 = p->l3 + sizeof(ip);
	fl_copy_v6(&p->tuple.saddr, &ip.saddr);
	fl_copy_v6(&p->tuple.daddr, &ip.daddr);
	/* mapped addresses do not belong on the wire, and here they would be IPv4's */
	if (fl_is_v4(&p->tuple.saddr) || fl_is_v4(&p->tuple.daddr))
		return FL_DROP_MALFORMED;
	reason = fl_parse_extensions(skb, p, ip.nexthdr);
	if (reason)
		return reason;
	return fl_parse_l4(skb, p, quoted);
}

/* UDP's header, the shortest. */
#define FL_PLAIN_L4 8

/*
 * What nearly every packet is: TCP or UDP without options, extension headers or fragments, its headers
 * in reach. Answers whether it was; the rest goes the long way.
 */
static __always_inline int fl_parse_plain(struct __sk_buff *skb, struct fl_packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct fl_tuple *t = &p->tuple;
	const __u8 *l4;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) + FL_PLAIN_L4 > end || ip->version != 4 || ip->ihl != 5 ||
		    ip->frag_off & bpf_htons(0x3fff))
			return 0;
		t->proto = ip->protocol;
		p->v4 = 1;
		p->ttl = ip->ttl;
		fl_map_v4(&t->saddr, ip->saddr);
		fl_map_v4(&t->daddr, ip->daddr);
		p->l4 = ETH_HLEN + sizeof(*ip);
		l4 = (const __u8 *)(ip + 1);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) + FL_PLAIN_L4 > end || ip->version != 6)
			return 0;
		t->proto = ip->nexthdr;
		p->ttl = ip->hop_limit;
		fl_copy_v6(&t->saddr, &ip->saddr);
		fl_copy_v6(&t->daddr, &ip->daddr);
		if (fl_is_v4(&t->saddr) || fl_is_v4(&t->daddr))
			return 0;
		p->l4 = ETH_HLEN + sizeof(*ip);
		l4 = (const __u8 *)(ip + 1);
	} else {
		return 0;
	}
	if (t->proto == IPPROTO_TCP) {
		if ((void *)l4 + 20 > end)
			return 0;
		p->tcp_flags = l4[13];
	} else if (t->proto != IPPROTO_UDP) {
		return 0;
	}
	t->sport = *(__be16 *)l4;
	t->dport = *(__be16 *)(l4 + 2);
	p->kind = FL_KIND_PORTS;
	return 1;
}

/* An Ethernet frame. Answers a drop reason; p is cleared first. */
static __always_inline int fl_parse(struct __sk_buff *skb, struct fl_packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->l3 = ETH_HLEN;
	/* another network's, on the same device: its own device gets it, and pods have none */
	if (skb->vlan_present)
		return FL_DROP_UNSUPPORTED_ETHERTYPE;
	if (fl_parse_plain(skb, p))
		return FL_DROP_NONE;
	/* the plain way may have filled in some of it */
	__builtin_memset(p, 0, sizeof(*p));
	p->l3 = ETH_HLEN;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return fl_parse_v4(skb, p, 0);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return fl_parse_v6(skb, p, 0);
	return FL_DROP_UNSUPPORTED_ETHERTYPE;
}
