/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* tcx ingress of the host's side of a pod's link: what a pod sends. */
#include "forward.h"
#include "lb.h"

/* Link-local scope (RFC 4291, 2.5.6 and 2.7): the kernel's neighbour discovery, never forwarded. */
static __always_inline int fl_is_link_scope(const struct fl_packet *p)
{
	const __u8 *s = p->tuple.saddr.bytes, *d = p->tuple.daddr.bytes;
	int source = (s[0] == 0xfe && (s[1] & 0xc0) == 0x80) || fl_is_zero(&p->tuple.saddr);
	int destination = (d[0] == 0xfe && (d[1] & 0xc0) == 0x80) || d[0] == 0xff;

	return !p->v4 && p->tuple.proto == IPPROTO_ICMPV6 && source && destination;
}

static __always_inline int fl_from_pod_decide(struct __sk_buff *skb, struct fl_packet *p, struct fl_route *r,
					      const struct fl_config *config)
{
	struct fl_endpoint *source;
	int reason;

	source = bpf_map_lookup_elem(&fl_endpoints, &p->tuple.saddr);
	if (!source || source->ifindex != skb->ifindex)
		return fl_drop(r, FL_DROP_SOURCE_ADDRESS);
	fl_report_new(skb, p, FL_HOOK_FROM_POD, config);
	if (!fl_decide_cluster(skb, p, r)) {
		reason = fl_service_packet(skb, p, source, config);
		if (reason > 0)
			return fl_drop(r, reason);
		if (reason < 0 || !fl_decide_cluster(skb, p, r)) {
			fl_decide_route(skb, p, r);
			return FL_DROP_NONE;
		}
	}
	if (r->verdict.action == FL_ACTION_TO_POD && r->endpoint) {
		reason = fl_turn_back(skb, p, r->endpoint);
		if (reason)
			return fl_drop(r, reason);
	}
	return FL_DROP_NONE;
}

SEC("classifier")
int fl_from_pod(struct __sk_buff *skb)
{
	const struct fl_config *config = fl_config_get();
	struct fl_route r = {};
	struct fl_packet p;
	int reason;

	if (!config || skb->protocol == bpf_htons(ETH_P_ARP))
		return FL_NEXT;
	reason = fl_parse(skb, &p);
	if (reason)
		fl_drop(&r, reason);
	else if (fl_is_link_scope(&p))
		fl_pass(&r);
	else
		fl_from_pod_decide(skb, &p, &r, config);
	return fl_emit(skb, &p, &r, FL_HOOK_FROM_POD, config);
}
