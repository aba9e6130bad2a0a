/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* cgroup hooks: a socket that speaks to a Service gets a backend once, and believes it has the Service. */
#include "lb.h"

#define FL_REFUSED (-111) /* -ECONNREFUSED */
#define FL_ALLOW 1
#define FL_DENY 0

/* A peer as the socket call has it, in the shape of the maps. */
struct fl_peer {
	struct fl_addr addr;
	__be16 port;
};

static __always_inline void fl_peer_get(struct bpf_sock_addr *ctx, int v4, struct fl_peer *peer)
{
	if (v4) {
		fl_map_v4(&peer->addr, ctx->user_ip4);
	} else {
		__u32 *w = fl_words(&peer->addr);

		w[0] = ctx->user_ip6[0];
		w[1] = ctx->user_ip6[1];
		w[2] = ctx->user_ip6[2];
		w[3] = ctx->user_ip6[3];
	}
	peer->port = ctx->user_port;
}

static __always_inline void fl_peer_set(struct bpf_sock_addr *ctx, int v4, const struct fl_addr *addr, __be16 port)
{
	const __u32 *w = fl_words(addr);

	if (v4) {
		ctx->user_ip4 = w[3];
	} else {
		ctx->user_ip6[0] = w[0];
		ctx->user_ip6[1] = w[1];
		ctx->user_ip6[2] = w[2];
		ctx->user_ip6[3] = w[3];
	}
	ctx->user_port = port;
}

static __always_inline int fl_socket_choose(struct bpf_sock_addr *ctx, const struct fl_peer *peer,
					    struct fl_choice *choice)
{
	struct fl_frontend_key key = {.addr = peer->addr, .port = peer->port, .proto = ctx->protocol};

	return fl_choose(&key, choice);
}

static __always_inline int fl_socket_refuse(int reason)
{
	fl_count_drop(FL_HOOK_SOCKET, reason, 0);
	bpf_set_retval(FL_REFUSED);
	return FL_DENY;
}

static __always_inline void fl_socket_report(struct bpf_sock_addr *ctx, const struct fl_peer *peer,
					     const struct fl_choice *choice)
{
	const struct fl_config *config = fl_config_get();
	struct fl_tuple t = {};

	fl_count_traffic(FL_FORWARD_SERVICE_SOCKET, 0);
	if (!config || !(config->flags & FL_CONFIG_EVENTS_NEW))
		return;
	t.daddr = peer->addr;
	t.dport = peer->port;
	t.proto = ctx->protocol;
	fl_event(&t, &choice->addr, choice->port, FL_EVENT_CONNECT, FL_HOOK_SOCKET, FL_DROP_NONE, 0, 0);
}

static __always_inline int fl_connect(struct bpf_sock_addr *ctx, int v4)
{
	struct fl_choice choice = {};
	struct fl_sock_peer *known;
	struct fl_peer peer = {};
	int reason;

	fl_peer_get(ctx, v4, &peer);
	reason = fl_socket_choose(ctx, &peer, &choice);
	if (reason == FL_FOUND_NO_SERVICE) {
		if (ctx->sk)
			bpf_sk_storage_delete(&fl_sock_peers, ctx->sk);
		return FL_ALLOW;
	}
	if (reason)
		return fl_socket_refuse(reason);
	fl_socket_report(ctx, &peer, &choice);
	if (ctx->sk) {
		known = bpf_sk_storage_get(&fl_sock_peers, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (known) {
			known->service_addr = peer.addr;
			known->service_port = peer.port;
			known->backend_addr = choice.addr;
			known->backend_port = choice.port;
		}
	}
	fl_peer_set(ctx, v4, &choice.addr, choice.port);
	return FL_ALLOW;
}

/* The backend that this socket's datagrams to the Service go to, while it lives; else a new choice. */
static __always_inline int fl_dgram_choose(struct bpf_sock_addr *ctx, const struct fl_peer *peer,
					   struct fl_choice *choice)
{
	struct fl_sock_dgrams *d = 0;
	struct fl_sock_dgram *e;
	__u32 at;
	int reason;

	if (ctx->sk)
		d = bpf_sk_storage_get(&fl_sock_dgrams, ctx->sk, 0, 0);
	for (at = 0; d && at < FL_SOCK_DGRAMS; at++) {
		e = &d->entries[at];
		if (e->service_port != peer->port || !fl_same(&e->service_addr, &peer->addr))
			continue;
		if (!fl_backend_lives(e->backend, e->generation))
			continue;
		choice->addr = e->backend_addr;
		choice->port = e->backend_port;
		return FL_FOUND_BACKEND;
	}
	reason = fl_socket_choose(ctx, peer, choice);
	if (reason)
		return reason;
	fl_socket_report(ctx, peer, choice);
	if (!d && ctx->sk)
		d = bpf_sk_storage_get(&fl_sock_dgrams, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!d)
		return FL_FOUND_BACKEND;
	/* answers of an earlier backend may be on their way: its entry ages instead of being overwritten */
	at = d->next % FL_SOCK_DGRAMS;
	d->next = at + 1;
	e = &d->entries[at & (FL_SOCK_DGRAMS - 1)];
	e->service_addr = peer->addr;
	e->service_port = peer->port;
	e->backend_addr = choice->addr;
	e->backend_port = choice->port;
	e->backend = choice->backend;
	e->generation = choice->generation;
	return FL_FOUND_BACKEND;
}

static __always_inline int fl_sendmsg(struct bpf_sock_addr *ctx, int v4)
{
	struct fl_choice choice = {};
	struct fl_peer peer = {};
	int reason;

	fl_peer_get(ctx, v4, &peer);
	reason = fl_dgram_choose(ctx, &peer, &choice);
	if (reason == FL_FOUND_NO_SERVICE)
		return FL_ALLOW;
	if (reason)
		return fl_socket_refuse(reason);
	fl_peer_set(ctx, v4, &choice.addr, choice.port);
	return FL_ALLOW;
}

/* Who connected sockets think they talk to. */
static __always_inline int fl_turn_peer(struct bpf_sock_addr *ctx, int v4, const struct fl_peer *peer)
{
	struct fl_sock_peer *known;

	if (!ctx->sk)
		return 0;
	known = bpf_sk_storage_get(&fl_sock_peers, ctx->sk, 0, 0);
	if (!known || known->backend_port != peer->port || !fl_same(&known->backend_addr, &peer->addr))
		return 0;
	fl_peer_set(ctx, v4, &known->service_addr, known->service_port);
	return 1;
}

static __always_inline int fl_getpeername(struct bpf_sock_addr *ctx, int v4)
{
	struct fl_peer peer = {};

	fl_peer_get(ctx, v4, &peer);
	fl_turn_peer(ctx, v4, &peer);
	return FL_ALLOW;
}

static __always_inline int fl_recvmsg(struct bpf_sock_addr *ctx, int v4)
{
	struct fl_sock_dgrams *d;
	struct fl_peer peer = {};

	fl_peer_get(ctx, v4, &peer);
	if (!ctx->sk || fl_turn_peer(ctx, v4, &peer))
		return FL_ALLOW;
	d = bpf_sk_storage_get(&fl_sock_dgrams, ctx->sk, 0, 0);
	/* newest first: a backend that two Services share answers for the one that was asked last */
	for (int i = 1; d && i <= FL_SOCK_DGRAMS; i++) {
		struct fl_sock_dgram *e = &d->entries[(d->next - i) & (FL_SOCK_DGRAMS - 1)];

		if (e->backend_port == peer.port && fl_same(&e->backend_addr, &peer.addr)) {
			fl_peer_set(ctx, v4, &e->service_addr, e->service_port);
			break;
		}
	}
	return FL_ALLOW;
}

#define FL_SOCKET_HOOK(name, section, call, v4)                                                     \
	SEC(section)                                                                                \
	int name(struct bpf_sock_addr *ctx)                                                         \
	{                                                                                           \
		return call(ctx, v4);                                                               \
	}

FL_SOCKET_HOOK(fl_connect4, "cgroup/connect4", fl_connect, 1)
FL_SOCKET_HOOK(fl_connect6, "cgroup/connect6", fl_connect, 0)
FL_SOCKET_HOOK(fl_sendmsg4, "cgroup/sendmsg4", fl_sendmsg, 1)
FL_SOCKET_HOOK(fl_sendmsg6, "cgroup/sendmsg6", fl_sendmsg, 0)
FL_SOCKET_HOOK(fl_recvmsg4, "cgroup/recvmsg4", fl_recvmsg, 1)
FL_SOCKET_HOOK(fl_recvmsg6, "cgroup/recvmsg6", fl_recvmsg, 0)
FL_SOCKET_HOOK(fl_getpeername4, "cgroup/getpeername4", fl_getpeername, 1)
FL_SOCKET_HOOK(fl_getpeername6, "cgroup/getpeername6", fl_getpeername, 0)
