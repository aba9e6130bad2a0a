/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps. User space sets the sizes of those that grow with the cluster before it loads them. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "contract.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_config);
	__uint(max_entries, 1);
} fl_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fl_addr);
	__type(value, struct fl_endpoint);
	__uint(max_entries, 8192);
} fl_endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fl_node_key);
	__type(value, struct fl_node);
	__uint(max_entries, 65536);
} fl_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* ifindex */
	__type(value, struct fl_uplink);
	__uint(max_entries, 256);
} fl_uplinks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fl_frontend_key);
	__type(value, struct fl_frontend);
	__uint(max_entries, 131072);
} fl_frontends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_slot);
	__uint(max_entries, 524288);
} fl_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_backend);
	__uint(max_entries, 262144);
} fl_backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fl_tuple);
	__type(value, struct fl_nat);
	__uint(max_entries, 65536);
} fl_nat_tcp SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fl_tuple);
	__type(value, struct fl_nat);
	__uint(max_entries, 65536);
} fl_nat_any SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fl_frag_key);
	__type(value, struct fl_frag);
	__uint(max_entries, 4096);
} fl_frags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fl_sock_peer);
} fl_sock_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fl_sock_dgrams);
} fl_sock_dgrams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_counter);
	__uint(max_entries, FL_HOOK_COUNT * FL_DROP_REASON_COUNT);
} fl_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_counter);
	__uint(max_entries, FL_FORWARD_COUNT);
} fl_traffic SEC(".maps");

/* Flows other than TCP that were reported lately: hash of the tuple -> (tag, second). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4096);
} fl_reported SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} fl_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fl_verdict);
	__uint(max_entries, 1);
} fl_verdict SEC(".maps");
