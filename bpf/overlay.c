/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The tunnel device (VXLAN, RFC 7348, in external mode): tunnel keys in and out. */
#include "forward.h"

SEC("classifier")
int fl_from_overlay(struct __sk_buff *skb)
{
	const struct fl_config *config = fl_config_get();
	struct bpf_tunnel_key key;
	struct fl_route r = {};
	struct fl_packet p;
	int reason;

	if (!config || skb->protocol == bpf_htons(ETH_P_ARP))
		return FL_NEXT;
	fl_pass(&r);
	reason = fl_parse(skb, &p);
	if (!reason && bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) &&
	    bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6))
		reason = FL_DROP_TUNNEL;
	if (!reason && key.tunnel_id != FL_TUNNEL_VNI)
		reason = FL_DROP_TUNNEL;
	if (!reason) {
		r.endpoint = bpf_map_lookup_elem(&fl_endpoints, &p.tuple.daddr);
		if (r.endpoint && p.ttl > 1) {
			fl_report_new(skb, &p, FL_HOOK_FROM_OVERLAY, config);
			reason = fl_turn_back(skb, &p, r.endpoint);
			r.verdict.action = FL_ACTION_TO_POD;
			r.verdict.ifindex = r.endpoint->ifindex;
		}
	}
	if (reason)
		fl_drop(&r, reason);
	return fl_emit(skb, &p, &r, FL_HOOK_FROM_OVERLAY, config);
}

/* What the kernel routes into the tunnel: the node's own packets, and those that it had to look at. */
SEC("classifier")
int fl_to_overlay(struct __sk_buff *skb)
{
	static const __u8 sender[6] = FL_TUNNEL_SENDER;
	const struct fl_config *config = fl_config_get();
	struct fl_route r = {};
	struct fl_node *node;
	struct fl_packet p;
	int reason;

	if (skb->mark == FL_MARK_DECIDED) {
		skb->mark = 0;
		return FL_NEXT;
	}
	if (!config || skb->protocol == bpf_htons(ETH_P_ARP))
		return FL_NEXT;
	fl_pass(&r);
	reason = fl_parse(skb, &p);
	if (!reason) {
		node = fl_node_lookup(&p.tuple.daddr);
		if (node && node->way == FL_WAY_VXLAN) {
			r.verdict.next_hop = node->next_hop;
			reason = bpf_skb_store_bytes(skb, ETH_ALEN, sender, ETH_ALEN, 0)
					 ? FL_DROP_REWRITE
					 : fl_set_tunnel(skb, &node->next_hop);
		} else if (!fl_is_multicast(&p.tuple.daddr)) {
			reason = FL_DROP_TUNNEL;
		} /* else the device's own, such as its MLD reports: it sends nothing without a key */
	}
	if (reason)
		fl_drop(&r, reason);
	return fl_emit(skb, &p, &r, FL_HOOK_TO_OVERLAY, config);
}
