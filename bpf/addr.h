/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Addresses of 16 bytes: made, compared, told apart. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "contract.h"

static __always_inline __u32 *fl_words(const struct fl_addr *a)
{
	return (__u32 *)a->bytes;
}

static __always_inline void fl_map_v4(struct fl_addr *a, __be32 v4)
{
	__u32 *w = fl_words(a);

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = v4;
}

static __always_inline void fl_copy_v6(struct fl_addr *a, const void *v6)
{
	__builtin_memcpy(a->bytes, v6, 16);
}

static __always_inline int fl_same(const struct fl_addr *a, const struct fl_addr *b)
{
	const __u32 *x = fl_words(a), *y = fl_words(b);

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]));
}

static __always_inline int fl_is_zero(const struct fl_addr *a)
{
	const __u32 *w = fl_words(a);

	return !(w[0] | w[1] | w[2] | w[3]);
}

static __always_inline int fl_is_v4(const struct fl_addr *a)
{
	const __u32 *w = fl_words(a);

	return !(w[0] | w[1]) && w[2] == bpf_htonl(0xffff);
}

static __always_inline int fl_is_multicast(const struct fl_addr *a)
{
	return a->bytes[0] == 0xff || (fl_is_v4(a) && (a->bytes[12] & 0xf0) == 0xe0);
}

static __always_inline void fl_reverse(struct fl_tuple *to, const struct fl_tuple *from)
{
	to->saddr = from->daddr;
	to->daddr = from->saddr;
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
	to->pad[0] = to->pad[1] = to->pad[2] = 0;
}
