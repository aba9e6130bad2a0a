/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The node's own devices: what comes from other nodes and the outside, and what leaves for it. */
#include "forward.h"
#include "masquerade.h"

/* linux/if_packet.h */
#define FL_PACKET_HOST 0

/* Whether a packet to the node may be the answer to a flow of a pod: only these are looked up. */
static __always_inline int fl_may_be_answer(const struct fl_packet *p, const struct fl_config *config)
{
	__u16 port = bpf_ntohs(p->tuple.dport);

	if (p->fragment == FL_FRAGMENT_LATER || p->kind != FL_KIND_PORTS || p->tuple.proto == IPPROTO_SCTP)
		return 1;
	return port >= config->nat_port_min && port <= config->nat_port_max;
}

static __always_inline void fl_from_wire_decide(struct __sk_buff *skb, struct fl_packet *p, struct fl_route *r,
						const struct fl_config *config)
{
	int known, reason = FL_DROP_NONE;

	r->endpoint = bpf_map_lookup_elem(&fl_endpoints, &p->tuple.daddr);
	if (r->endpoint) {
		if (p->tuple.proto != IPPROTO_TCP && !fl_node_lookup(&p->tuple.saddr))
			fl_note_inbound(p);
	} else if (fl_may_be_answer(p, config)) {
		struct fl_uplink *own = bpf_map_lookup_elem(&fl_uplinks, &(__u32){skb->ifindex});

		/* a later fragment to the node itself whose first was not seen is the kernel's to judge */
		if (own && fl_nat_known(skb, p, FL_NAT_KINDS_WIRE, &known) == FL_DROP_NONE)
			r->endpoint = bpf_map_lookup_elem(&fl_endpoints, &p->tuple.daddr);
	}
	fl_pass(r);
	if (!r->endpoint || p->ttl <= 1)
		return;
	fl_report_new(skb, p, FL_HOOK_FROM_WIRE, config);
	reason = fl_turn_back(skb, p, r->endpoint);
	if (reason) {
		fl_drop(r, reason);
		return;
	}
	r->verdict.action = FL_ACTION_TO_POD;
	r->verdict.ifindex = r->endpoint->ifindex;
}

SEC("classifier")
int fl_from_wire(struct __sk_buff *skb)
{
	const struct fl_config *config = fl_config_get();
	struct fl_route r = {};
	struct fl_packet p;

	/*
	 * Somebody else's frame, flooded by a switch or seen in promiscuous mode, is not taken: besides, a
	 * neighbour that sends to an address of before would be confirmed by the answers, for ever.
	 */
	if (!config || skb->pkt_type != FL_PACKET_HOST)
		return FL_NEXT;
	/* what we can't read is the node's own business */
	if (fl_parse(skb, &p))
		return FL_NEXT;
	fl_from_wire_decide(skb, &p, &r, config);
	return fl_emit(skb, &p, &r, FL_HOOK_FROM_WIRE, config);
}

SEC("classifier")
int fl_to_wire(struct __sk_buff *skb)
{
	const struct fl_config *config = fl_config_get();
	const struct fl_addr *node;
	struct fl_uplink *uplink;
	struct fl_route r = {};
	struct fl_packet p;
	int reason;

	if (skb->mark == FL_MARK_DECIDED) {
		skb->mark = 0;
		return FL_NEXT;
	}
	if (!config || fl_parse(skb, &p))
		return FL_NEXT;
	if (!bpf_map_lookup_elem(&fl_endpoints, &p.tuple.saddr) || fl_node_lookup(&p.tuple.daddr))
		return FL_NEXT;
	uplink = bpf_map_lookup_elem(&fl_uplinks, &(__u32){skb->ifindex});
	if (!uplink)
		return FL_NEXT;
	node = p.v4 ? &uplink->v4 : &uplink->v6;
	if (fl_is_zero(node))
		return FL_NEXT;
	fl_pass(&r);
	reason = fl_masquerade(skb, &p, node, config);
	if (reason)
		fl_drop(&r, reason);
	return fl_emit(skb, &p, &r, FL_HOOK_TO_WIRE, config);
}
