/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Services: the choice of a backend (sockets and packets alike), and translation by packet. */
#pragma once

#include "ports.h"

struct fl_choice {
	struct fl_addr addr;
	__be16 port;
	__u8 pad[2];
	__u32 service;
	__u32 backend;
	__u32 generation;
};

enum fl_found {
	FL_FOUND_NO_SERVICE = -1,
	FL_FOUND_BACKEND = FL_DROP_NONE,
	/* or FL_DROP_NO_BACKEND, FL_DROP_BACKEND_RACE */
};

/*
 * A frontend's run is one aligned word; the slot carries its Service, so that a slot of a run that
 * was freed and given away meanwhile is noticed and the frontend read again.
 */
static __always_inline int fl_choose(const struct fl_frontend_key *key, struct fl_choice *choice)
{
	for (int i = 0; i < 3; i++) {
		struct fl_frontend *f = bpf_map_lookup_elem(&fl_frontends, key);
		struct fl_backend *b;
		struct fl_slot *s;
		__u32 index, count, service;
		__u64 run;

		if (!f)
			return FL_FOUND_NO_SERVICE;
		run = *(volatile __u64 *)&f->run;
		service = f->service;
		count = (run >> 32) & 0xffff;
		if (!count)
			return FL_DROP_NO_BACKEND;
		index = (__u32)run + bpf_get_prandom_u32() % count;
		s = bpf_map_lookup_elem(&fl_slots, &index);
		if (!s || s->service != service)
			continue;
		choice->backend = s->backend;
		b = bpf_map_lookup_elem(&fl_backends, &choice->backend);
		if (!b || b->proto != key->proto)
			continue;
		choice->generation = *(volatile __u32 *)&b->generation;
		choice->addr = b->addr;
		choice->port = b->port;
		choice->service = service;
		return FL_FOUND_BACKEND;
	}
	return FL_DROP_BACKEND_RACE;
}

static __always_inline int fl_backend_lives(__u32 backend, __u32 generation)
{
	struct fl_backend *b = bpf_map_lookup_elem(&fl_backends, &backend);

	return b && b->proto && b->generation == generation;
}

/*
 * The two entries of a new flow to a Service; the client's own address is answered by the Service's
 * (hairpin). The source port becomes one that the pod does not choose by itself: with its own, answers
 * could not be told from those of a connection that it made to the backend directly.
 */
static __always_inline int fl_service_store(const struct fl_packet *p, const struct fl_choice *choice,
					    struct fl_tuple *to, const struct fl_config *config)
{
	struct fl_nat n = {
		.seen = fl_now(),
		.flags = FL_NAT_SERVICE | FL_NAT_REPLY,
		.service = choice->service,
		.backend = choice->backend,
		.generation = choice->generation,
	};
	int reason;

	*to = p->tuple;
	to->daddr = choice->addr;
	to->dport = choice->port;
	if (fl_same(&choice->addr, &p->tuple.saddr))
		to->saddr = p->tuple.daddr;
	fl_reverse(&n.to, &p->tuple);
	reason = fl_take_port(p, to, &n, config);
	if (reason)
		return reason;
	n.to = *to;
	n.flags = FL_NAT_SERVICE;
	/* an older flow of these ports would be found before this one */
	if (p->tuple.proto == IPPROTO_TCP)
		bpf_map_delete_elem(&fl_nat_tcp, &p->tuple);
	return bpf_map_update_elem(&fl_nat_any, &p->tuple, &n, BPF_ANY) ? FL_DROP_NAT_MAP : FL_DROP_NONE;
}

/* A flow that is known, or -1. Datagrams leave a backend that is gone; TCP drains. */
static __always_inline int fl_service_known(struct __sk_buff *skb, struct fl_packet *p)
{
	struct fl_nat *n = fl_nat_lookup(&p->tuple);

	if (!n || !(n->flags & FL_NAT_KINDS_POD))
		return -1;
	if (!(n->flags & FL_NAT_REPLY)) {
		int fresh = p->tuple.proto != IPPROTO_TCP ||
			    (p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK)) == FL_TCP_SYN;

		if (fresh && !fl_backend_lives(n->backend, n->generation))
			return -1;
	}
	return fl_nat_apply(skb, p, n);
}

/*
 * Translates a pod's packet to a Service that no socket hook has translated.
 * Answers a drop reason, or -1 where the destination is no Service.
 */
static __always_inline int fl_service_packet(struct __sk_buff *skb, struct fl_packet *p, struct fl_endpoint *source,
					     const struct fl_config *config)
{
	struct fl_frontend_key key = {};
	struct fl_choice choice = {};
	struct fl_tuple to;
	int reason;

	if (p->kind != FL_KIND_PORTS)
		return -1;
	reason = fl_fragment_ports(p);
	if (reason)
		return reason;
	if (source->translated) {
		reason = fl_service_known(skb, p);
		if (reason >= 0)
			return reason;
	}
	key.addr = p->tuple.daddr;
	key.port = p->tuple.dport;
	key.proto = p->tuple.proto;
	reason = fl_choose(&key, &choice);
	if (reason)
		return reason;
	reason = fl_service_store(p, &choice, &to, config);
	if (reason)
		return reason;
	source->translated = 1;
	fl_count_traffic(FL_FORWARD_SERVICE_PACKET, skb->len);
	return fl_rewrite(skb, p, &to);
}
