/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counters for everything, events for drops and new flows. */
#pragma once

#include "maps.h"
#include "parse.h"

static __always_inline struct fl_config *fl_config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_config, &zero);
}

static __always_inline __u32 fl_now(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000ULL;
}

static __always_inline void fl_count(struct fl_counter *c, __u32 bytes)
{
	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

static __always_inline void fl_count_traffic(__u32 how, __u32 bytes)
{
	fl_count(bpf_map_lookup_elem(&fl_traffic, &how), bytes);
}

static __always_inline void fl_event(const struct fl_tuple *t, const struct fl_addr *to, __be16 to_port,
				     __u8 kind, __u8 hook, __u8 reason, __u32 ifindex, __u32 length)
{
	struct fl_event *e = bpf_ringbuf_reserve(&fl_events, sizeof(*e), 0);

	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->tuple = *t;
	if (to) {
		e->to = *to;
		e->to_port = to_port;
	}
	e->kind = kind;
	e->hook = hook;
	e->reason = reason;
	e->ifindex = ifindex;
	e->length = length;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void fl_count_drop(__u32 hook, __u32 reason, __u32 bytes)
{
	__u32 key = hook * FL_DROP_REASON_COUNT + reason;

	fl_count(bpf_map_lookup_elem(&fl_drops, &key), bytes);
}

static __always_inline void fl_report_drop(struct __sk_buff *skb, const struct fl_packet *p, __u8 hook, __u8 reason)
{
	fl_count_drop(hook, reason, skb->len);
	fl_event(&p->tuple, 0, 0, FL_EVENT_DROP, hook, reason, skb->ifindex, skb->len);
}

/* Whether a flow without a beginning of its own (not TCP) was not reported within 30 seconds. */
static __always_inline int fl_first_report(const struct fl_tuple *t)
{
	const __u64 *w = (const __u64 *)t;
	__u64 hash = 0, *seen, now = fl_now();
	__u32 index;

	for (int i = 0; i < 5; i++)
		hash = (hash ^ w[i]) * 0x9e3779b97f4a7c15ULL;
	hash ^= hash >> 32;
	index = hash & 4095;
	seen = bpf_map_lookup_elem(&fl_reported, &index);
	if (!seen)
		return 0;
	hash = (hash & 0xffffffff00000000ULL) | now;
	if ((*seen ^ hash) >> 32 == 0 && (__u32)now - (__u32)*seen < 30)
		return 0;
	*seen = hash;
	return 1;
}

static __always_inline void fl_report_new(struct __sk_buff *skb, const struct fl_packet *p, __u8 hook,
					  const struct fl_config *config)
{
	if (!(config->flags & FL_CONFIG_EVENTS_NEW) || p->fragment == FL_FRAGMENT_LATER)
		return;
	if (p->tuple.proto == IPPROTO_TCP) {
		if ((p->tcp_flags & (FL_TCP_SYN | FL_TCP_ACK)) != FL_TCP_SYN)
			return;
	} else if (p->kind == FL_KIND_ERROR || !fl_first_report(&p->tuple)) {
		return;
	}
	fl_event(&p->tuple, 0, 0, FL_EVENT_NEW, hook, FL_DROP_NONE, skb->ifindex, skb->len);
}
