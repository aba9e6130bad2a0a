/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where a packet goes: fl_decide_*() fill a verdict, fl_emit() acts on it. */
#pragma once

#include "nat.h"

/* Not ours to stop: the next tcx program of this link, if any, then the kernel. */
#define FL_NEXT TC_ACT_UNSPEC

/* On skb->mark between our own programs of one host: from_pod has decided, the device's egress hook is done. */
#define FL_MARK_DECIDED 0xf1ead000

/*
 * The tunnel's inner frames: for the address that the device has on all nodes, so that they are always
 * for the receiver; from another one, since VXLAN takes frames from its own address for loops.
 */
#define FL_TUNNEL_MAC {0x0a, 0x66, 0x6c, 0xff, 0x00, 0x01}
#define FL_TUNNEL_SENDER {0x0a, 0x66, 0x6c, 0xff, 0x00, 0x02}
#define FL_TUNNEL_VNI 1

struct fl_route {
	struct fl_verdict verdict;
	struct fl_endpoint *endpoint; /* of FL_ACTION_TO_POD */
	__u8 outside;                 /* of FL_ACTION_TO_NEIGHBOUR: leaves the cluster, to_wire has work to do */
};

static __always_inline void fl_pass(struct fl_route *r)
{
	r->verdict.action = FL_ACTION_PASS;
}

static __always_inline int fl_drop(struct fl_route *r, int reason)
{
	r->verdict.action = FL_ACTION_DROP;
	r->verdict.reason = reason;
	return reason;
}

static __always_inline struct fl_node *fl_node_lookup(const struct fl_addr *addr)
{
	struct fl_node_key key = {.prefix_len = 128, .addr = *addr};

	return bpf_map_lookup_elem(&fl_nodes, &key);
}

/* bpf_redirect_neigh and the tunnel do not look at the MTU; the kernel's route does, and answers. */
static __always_inline int fl_fits(struct __sk_buff *skb, __u32 ifindex)
{
	__u32 mtu = 0;

	return bpf_check_mtu(skb, ifindex, &mtu, 0, BPF_MTU_CHK_SEGS) == 0;
}

/* Kernel 6.5; the next hop's link address is found on the way out. */
#define FL_FIB_LOOKUP_SKIP_NEIGH (1U << 2)

/*
 * By the kernel's routes, but not through its forwarding, where a firewall for other purposes may drop
 * it (Docker's FORWARD policy). What the kernel has to answer, and what is for this node, passes.
 */
static __always_inline void fl_decide_route(struct __sk_buff *skb, const struct fl_packet *p, struct fl_route *r)
{
	struct bpf_fib_lookup fib = {
		.l4_protocol = p->tuple.proto,
		.sport = p->tuple.sport,
		.dport = p->tuple.dport,
		.ifindex = skb->ifindex,
	};

	fl_pass(r);
	if (p->ttl <= 1)
		return;
	if (p->v4) {
		fib.family = 2; /* AF_INET */
		fib.ipv4_src = fl_words(&p->tuple.saddr)[3];
		fib.ipv4_dst = fl_words(&p->tuple.daddr)[3];
	} else {
		fib.family = 10; /* AF_INET6 */
		__builtin_memcpy(fib.ipv6_src, p->tuple.saddr.bytes, 16);
		__builtin_memcpy(fib.ipv6_dst, p->tuple.daddr.bytes, 16);
	}
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), FL_FIB_LOOKUP_SKIP_NEIGH) != BPF_FIB_LKUP_RET_SUCCESS ||
	    !bpf_map_lookup_elem(&fl_uplinks, &(__u32){fib.ifindex}) || !fl_fits(skb, fib.ifindex))
		return;
	r->verdict.action = FL_ACTION_TO_NEIGHBOUR;
	r->verdict.ifindex = fib.ifindex;
	if (fib.family == 2)
		fl_map_v4(&r->verdict.next_hop, fib.ipv4_dst);
	else
		fl_copy_v6(&r->verdict.next_hop, fib.ipv6_dst);
	r->outside = 1;
}

/* Answers whether the destination is in the cluster and not this node itself; fills the verdict then. */
static __always_inline int fl_decide_cluster(struct __sk_buff *skb, struct fl_packet *p, struct fl_route *r)
{
	struct fl_node *node;

	r->endpoint = bpf_map_lookup_elem(&fl_endpoints, &p->tuple.daddr);
	if (r->endpoint) {
		r->verdict.action = p->ttl > 1 ? FL_ACTION_TO_POD : FL_ACTION_PASS;
		r->verdict.ifindex = r->endpoint->ifindex;
		return 1;
	}
	node = fl_node_lookup(&p->tuple.daddr);
	if (!node)
		return 0;
	if (node->way == FL_WAY_KERNEL) {
		fl_decide_route(skb, p, r);
		return 1;
	}
	fl_pass(r);
	if (p->ttl <= 1 || node->way == FL_WAY_LOCAL)
		return 1;
	if (!fl_fits(skb, node->ifindex))
		return 1;
	r->verdict.action = node->way == FL_WAY_DIRECT ? FL_ACTION_TO_NEIGHBOUR : FL_ACTION_TO_TUNNEL;
	r->verdict.ifindex = node->ifindex;
	r->verdict.next_hop = node->next_hop;
	return 1;
}

/* One hop further (RFC 791, RFC 8200, 3), and the link addresses where they are given. */
static __always_inline int fl_hop(struct __sk_buff *skb, const struct fl_packet *p, const __u8 *dmac,
				  const __u8 *smac)
{
	__u32 need = ETH_HLEN + sizeof(struct iphdr);
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth;

	if (data + need > end) {
		if (bpf_skb_pull_data(skb, need))
			return FL_DROP_MALFORMED;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		if (data + need > end)
			return FL_DROP_MALFORMED;
	}
	eth = data;
	if (dmac) {
		__builtin_memcpy(eth->h_dest, dmac, ETH_ALEN);
		__builtin_memcpy(eth->h_source, smac, ETH_ALEN);
	}
	if (p->v4) {
		struct iphdr *ip = data + ETH_HLEN;
		__u32 check = ip->check + bpf_htons(0x0100); /* RFC 1141 */

		ip->check = check + (check >= 0xffff);
		ip->ttl--;
	} else {
		__u8 hops = p->ttl - 1;

		if (bpf_skb_store_bytes(skb, ETH_HLEN + 7, &hops, 1, BPF_F_RECOMPUTE_CSUM))
			return FL_DROP_REWRITE;
	}
	return FL_DROP_NONE;
}

static __always_inline long fl_to_neighbour(const struct fl_verdict *v)
{
	struct bpf_redir_neigh nh = {};

	if (fl_is_v4(&v->next_hop)) {
		nh.nh_family = 2; /* AF_INET */
		nh.ipv4_nh = fl_words(&v->next_hop)[3];
	} else {
		nh.nh_family = 10; /* AF_INET6 */
		__builtin_memcpy(nh.ipv6_nh, v->next_hop.bytes, 16);
	}
	return bpf_redirect_neigh(v->ifindex, &nh, sizeof(nh), 0);
}

static __always_inline int fl_set_tunnel(struct __sk_buff *skb, const struct fl_addr *far)
{
	struct bpf_tunnel_key key = {.tunnel_id = FL_TUNNEL_VNI, .tunnel_ttl = 64};
	__u64 flags = BPF_F_ZERO_CSUM_TX;

	if (fl_is_v4(far)) {
		key.remote_ipv4 = bpf_ntohl(fl_words(far)[3]);
	} else {
		flags |= BPF_F_TUNINFO_IPV6;
		__builtin_memcpy(key.remote_ipv6, far->bytes, 16);
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags) ? FL_DROP_TUNNEL : FL_DROP_NONE;
}

static __always_inline void fl_record(const struct fl_verdict *v, const struct fl_config *config)
{
	__u32 zero = 0;

	if (config->flags & FL_CONFIG_RECORD)
		bpf_map_update_elem(&fl_verdict, &zero, v, BPF_ANY);
}

/* Ends the program: does what was decided. */
static __always_inline int fl_emit(struct __sk_buff *skb, const struct fl_packet *p, struct fl_route *r, __u8 hook,
				   const struct fl_config *config)
{
	static const __u8 tunnel[6] = FL_TUNNEL_MAC, sender[6] = FL_TUNNEL_SENDER;
	struct fl_verdict *v = &r->verdict;
	int reason = FL_DROP_NONE;

	if (v->action == FL_ACTION_TO_POD && r->endpoint)
		reason = fl_hop(skb, p, r->endpoint->pod_mac, r->endpoint->host_mac);
	else if (v->action == FL_ACTION_TO_NEIGHBOUR)
		reason = fl_hop(skb, p, 0, 0);
	else if (v->action == FL_ACTION_TO_TUNNEL)
		reason = fl_hop(skb, p, tunnel, sender) ?: fl_set_tunnel(skb, &v->next_hop);
	if (reason)
		fl_drop(r, reason);
	fl_record(v, config);
	switch (v->action) {
	case FL_ACTION_TO_POD:
		fl_count_traffic(FL_FORWARD_POD, skb->len);
		return bpf_redirect_peer(v->ifindex, 0);
	case FL_ACTION_TO_NEIGHBOUR:
		fl_count_traffic(r->outside ? FL_FORWARD_OUTSIDE : FL_FORWARD_DIRECT, skb->len);
		if (!r->outside)
			skb->mark = FL_MARK_DECIDED;
		return fl_to_neighbour(v);
	case FL_ACTION_TO_TUNNEL:
		fl_count_traffic(FL_FORWARD_VXLAN, skb->len);
		skb->mark = FL_MARK_DECIDED;
		return bpf_redirect(v->ifindex, 0);
	case FL_ACTION_PASS:
		fl_count_traffic(FL_FORWARD_KERNEL, skb->len);
		return FL_NEXT;
	}
	fl_report_drop(skb, p, hook, v->reason);
	return TC_ACT_SHOT;
}

/* Hands a packet to a pod of this node; what the packet path translated for it is turned back first. */
static __always_inline int fl_turn_back(struct __sk_buff *skb, struct fl_packet *p, const struct fl_endpoint *to)
{
	int known;

	int reason;

	if (!to->translated)
		return FL_DROP_NONE;
	reason = fl_nat_known(skb, p, FL_NAT_KINDS_POD, &known);
	/* without its first fragment nothing says that it is of a translated flow, and most are not */
	return reason == FL_DROP_FRAGMENT_ORDER ? FL_DROP_NONE : reason;
}
