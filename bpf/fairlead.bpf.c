/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The datapath as one object: every hook has a file of its own. */
#include "from_pod.c"
#include "to_pod.c"
#include "wire.c"
#include "overlay.c"
#include "socket.c"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
