/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* tcx egress of the host's side of a pod's link: what the kernel routes to a pod. */
#include "forward.h"

SEC("classifier")
int fl_to_pod(struct __sk_buff *skb)
{
	const struct fl_config *config = fl_config_get();
	struct fl_endpoint *to;
	struct fl_route r = {};
	struct fl_packet p;
	int reason;

	if (!config || skb->protocol == bpf_htons(ETH_P_ARP))
		return FL_NEXT;
	fl_pass(&r);
	reason = fl_parse(skb, &p);
	if (!reason) {
		to = bpf_map_lookup_elem(&fl_endpoints, &p.tuple.daddr);
		if (to && to->ifindex == skb->ifindex)
			reason = fl_turn_back(skb, &p, to);
	}
	if (reason)
		fl_drop(&r, reason);
	return fl_emit(skb, &p, &r, FL_HOOK_TO_POD, config);
}
