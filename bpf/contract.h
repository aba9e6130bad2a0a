/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The contract between the kernel's side and user space: every map key and value, drop reason and
 * event. Each struct here has its mirror in crates/datapath/src/contract.rs; a test reads the BTF
 * of the compiled object and fails where a name, a size or an offset differs.
 *
 * Rules: explicit padding, always zero; addresses are 16 bytes, IPv4 mapped (::ffff:a.b.c.d);
 * addresses and ports in network order, everything else in the host's.
 */
#pragma once

#include <linux/types.h>

struct fl_addr {
	__u8 bytes[16];
};

/* A transport tuple: what a packet says. ICMP echo has its identifier in both ports. */
struct fl_tuple {
	struct fl_addr saddr;
	struct fl_addr daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};

/* fl_endpoints: address of a pod of this node -> its link. */
struct fl_endpoint {
	__u32 ifindex;     /* of the host's side */
	__u32 pod;         /* a number of user space's, for events */
	__u8 pod_mac[6];
	__u8 host_mac[6];
	__u32 translated;  /* set once a flow of this pod was translated by the packet path */
};

/* fl_nodes: LPM of other nodes' pod CIDRs and addresses -> how to reach them. */
struct fl_node_key {
	__u32 prefix_len;  /* bits of addr; IPv4 counts its 96 mapped bits too */
	struct fl_addr addr;
};

enum fl_way {
	FL_WAY_LOCAL = 0,  /* this node: the kernel delivers */
	FL_WAY_DIRECT = 1, /* on a shared link: redirect to the neighbour */
	FL_WAY_VXLAN = 2,  /* through the tunnel */
	FL_WAY_KERNEL = 3, /* in the cluster, but let the kernel route it */
};

struct fl_node {
	struct fl_addr next_hop; /* the neighbour, or the tunnel's far end */
	__u32 ifindex;           /* device to leave by */
	__u8 way;                /* enum fl_way */
	__u8 pad[3];
};

/* fl_uplinks: ifindex of a node's device -> the addresses that masquerade uses there. */
struct fl_uplink {
	struct fl_addr v4; /* zero: do not masquerade this family here */
	struct fl_addr v6;
};

/* fl_frontends: an address that stands for a Service's port -> where its backends are. */
struct fl_frontend_key {
	struct fl_addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct fl_frontend {
	/* first slot (32 bits) | number of backends (16) | generation (16): read and written as one */
	__u64 run;
	__u32 service; /* number of this Service port; its slots carry it */
	__u32 pad;
};

/* fl_slots: array; runs of backends. */
struct fl_slot {
	__u32 backend; /* index into fl_backends */
	__u32 service; /* as in the frontend, so that a late reader of a reused run notices */
};

/* fl_backends: array. */
struct fl_backend {
	struct fl_addr addr;
	__be16 port;
	__u8 proto;        /* 0: unused */
	__u8 pad;
	__u32 generation;  /* changes when the entry is given to another backend or ends */
};

/* fl_nat_tcp (established), fl_nat_any: a packet with the key's tuple becomes this tuple. */
#define FL_NAT_SEEN_REPLY 0x01 /* the other direction was seen */
#define FL_NAT_CLOSING    0x02 /* FIN or RST was seen */
#define FL_NAT_INBOUND    0x04 /* identity: the flow came from outside, do not masquerade it */
#define FL_NAT_MASQUERADE 0x08 /* the source is rewritten to the node's */
#define FL_NAT_SERVICE    0x10 /* the destination is a Service's */
#define FL_NAT_REPLY      0x20 /* this entry is the pair's second: packets of the answer */

struct fl_nat {
	struct fl_tuple to;
	__u32 seen;    /* seconds of the monotonic clock (CLOCK_MONOTONIC) */
	__u32 flags;
	__u32 service; /* of FL_NAT_SERVICE entries, else 0 */
	__u32 backend;
	__u32 generation; /* of the backend when it was chosen */
};

/* fl_frags: (addresses, identification) of a fragmented packet -> the ports of its first fragment. */
struct fl_frag_key {
	struct fl_addr saddr;
	struct fl_addr daddr;
	__u32 id;
	__u8 proto;
	__u8 pad[3];
};

struct fl_frag {
	__be16 sport;
	__be16 dport;
};

/* fl_sock_peers (socket storage): what a connected socket believes its peer to be. */
struct fl_sock_peer {
	struct fl_addr service_addr;
	struct fl_addr backend_addr;
	__be16 service_port;
	__be16 backend_port;
};

/* fl_sock_dgrams (socket storage): the Services that an unconnected socket talks to, newest last. */
#define FL_SOCK_DGRAMS 16

struct fl_sock_dgram {
	struct fl_addr service_addr;
	struct fl_addr backend_addr;
	__be16 service_port;
	__be16 backend_port;
	__u32 backend;
	__u32 generation;
};

struct fl_sock_dgrams {
	__u32 next; /* the entry to be replaced next */
	struct fl_sock_dgram entries[FL_SOCK_DGRAMS];
};

/* fl_config: array of one. What user space may change while programs run. */
#define FL_CONFIG_EVENTS_NEW 0x01 /* somebody observes: report new connections */
#define FL_CONFIG_RECORD     0x02 /* tests: keep the verdict of the last packet in fl_verdict */

struct fl_config {
	__u32 flags;
	__u32 vxlan_ifindex; /* 0: no tunnel */
	__u16 nat_port_min;  /* host order; masquerade uses min..=max */
	__u16 nat_port_max;
	__u32 pad;
};

/* Why a packet was dropped: FL_DROP_<name>, and what people read. */
#define FL_DROP_REASONS(X)                                                                  \
	X(NONE, "not dropped")                                                               \
	X(MALFORMED, "malformed packet: headers do not fit its length")                      \
	X(UNSUPPORTED_ETHERTYPE, "neither IPv4, IPv6 nor ARP, or with a VLAN tag")                               \
	X(SOURCE_ADDRESS, "source address is not the pod's own")                             \
	X(NO_BACKEND, "the Service has no ready endpoint")                                   \
	X(BACKEND_RACE, "backends changed twice while one was chosen")                       \
	X(NAT_EXHAUSTED, "no source port is free for a translated flow to this destination")                \
	X(NAT_MAP, "a translation could not be stored")                                      \
	X(FRAGMENT_ORDER, "a later fragment came before the first, which has the ports")     \
	X(REWRITE, "the packet could not be rewritten")                                      \
	X(TUNNEL, "the tunnel's address could not be set or read")                           \
	X(EXTENSION_HEADERS, "too many IPv6 extension headers")                              \
	X(NAT_STALE, "the connection was masqueraded by an address that the node no longer leaves by")

enum fl_drop_reason {
#define X(name, text) FL_DROP_##name,
	FL_DROP_REASONS(X)
#undef X
	FL_DROP_REASON_COUNT
};

/* Where: the hook that saw the packet. */
enum fl_hook {
	FL_HOOK_FROM_POD = 0,
	FL_HOOK_TO_POD = 1,
	FL_HOOK_FROM_WIRE = 2,
	FL_HOOK_TO_WIRE = 3,
	FL_HOOK_FROM_OVERLAY = 4,
	FL_HOOK_TO_OVERLAY = 5,
	FL_HOOK_SOCKET = 6,
	FL_HOOK_COUNT = 7,
};

/* fl_drops: per-CPU array, index hook * FL_DROP_REASON_COUNT + reason. */
struct fl_counter {
	__u64 packets;
	__u64 bytes;
};

/* fl_traffic: per-CPU array, what was forwarded and how. */
enum fl_forward {
	FL_FORWARD_POD = 0,        /* handed to a pod of this node */
	FL_FORWARD_DIRECT = 1,     /* to another node on a shared link */
	FL_FORWARD_VXLAN = 2,      /* to another node through the tunnel */
	FL_FORWARD_KERNEL = 3,     /* left to the kernel's routing */
	FL_FORWARD_MASQUERADE = 4, /* left the cluster with the node's address */
	FL_FORWARD_SERVICE_PACKET = 5, /* a new flow to a Service, translated by the packet path */
	FL_FORWARD_SERVICE_SOCKET = 6, /* a connect or message to a Service, translated at the socket */
	FL_FORWARD_OUTSIDE = 7,        /* a pod's packet that left the cluster */
	FL_FORWARD_COUNT = 8,
};

/* fl_events: ring buffer. */
enum fl_event_kind {
	FL_EVENT_DROP = 1,
	FL_EVENT_NEW = 2,     /* a packet that begins a flow */
	FL_EVENT_CONNECT = 3, /* a socket's choice of a backend: tuple.daddr is the Service, to the backend */
};

struct fl_event {
	__u64 time;     /* nanoseconds of CLOCK_MONOTONIC */
	struct fl_tuple tuple;
	struct fl_addr to;
	__be16 to_port;
	__u8 kind;      /* enum fl_event_kind */
	__u8 hook;      /* enum fl_hook */
	__u8 reason;    /* enum fl_drop_reason */
	__u8 pad[3];
	__u32 ifindex;
	__u32 length;   /* bytes of the packet */
};

/* fl_verdict: array of one, written when FL_CONFIG_RECORD is set; for tests. */
enum fl_action {
	FL_ACTION_PASS = 1,           /* to the kernel */
	FL_ACTION_DROP = 2,
	FL_ACTION_TO_POD = 3,         /* redirect_peer to ifindex */
	FL_ACTION_TO_NEIGHBOUR = 4,   /* redirect_neigh to next_hop on ifindex */
	FL_ACTION_TO_TUNNEL = 5,      /* redirect to the tunnel device, next_hop is the far end */
};

struct fl_verdict {
	struct fl_addr next_hop;
	__u32 ifindex;
	__u8 action; /* enum fl_action */
	__u8 reason; /* enum fl_drop_reason */
	__u8 pad[2];
};
