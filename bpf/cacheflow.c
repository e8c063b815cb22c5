//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The first-level cache: a program at the ingress and egress hooks of devices
 * counts packets in a set-associative cache inside the kernel. What leaves that
 * cache goes to user space: victims of full sets by the ring of their CPU, the
 * rest by the mapping of the half (generation) that has been closed.
 *
 * A packet is counted in exactly one place: in ignored, in an entry, in a record
 * of a ring, or in lost. The walker (walk.h) only ever says what it is sure of.
 * Whatever is rare, cut off, broken or a fragment goes to user space as a
 * snapshot, and the decoder there decides: so no packet is metered differently
 * from how the AF_PACKET capture meters it. */

#include <linux/bpf.h>
#include <linux/if_packet.h>

#include "helpers.h"
#include "abi.h"
#include "walk.h"

#define NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC: whoever comes next decides */

/* Set by user space before the program is loaded. */
const volatile __u32 cpus = 1;      /* partitions: the possible CPUs */
const volatile __u32 set_shift = 0; /* log2 of the sets of one partition */
const volatile __u32 wake_at = 0;   /* entries made in a partition at which user space is woken; 0: never */
const volatile __u64 seed[7] = {};  /* odd numbers, of which the hash is made */
const volatile __u32 legacy = 0;    /* clsact: return when the heartbeat is older than this many jiffies; 0: tcx */

/* When user space was last alive: the low 32 bits of jiffies. It is looked at under
 * clsact only. */
__u32 heartbeat = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* (generation * cpus + cpu) << set_shift, and the set */
	__type(key, __u32);
	__type(value, struct set);
} sets SEC(".maps");

/* A bit for each set that was written to since it was drained. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as sets, by 64 */
	__type(key, __u32);
	__type(value, __u64);
} used SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* cpus */
	__type(key, __u32);
	__type(value, struct cpu);
} cpu_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* (interface * cpus + cpu) * 2, and whether the run was nested */
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEVICES);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

/* The one element of current is a map whose one element is the generation, 0 or
 * 1. To replace it makes the kernel wait for every run that is under way
 * (maybe_wait_bpf_programs in kernel/bpf/syscall.c): then nobody writes the other
 * generation's half any more. */
struct generation {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct generation);
} current SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* cpus */
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* One run of the program. */
struct run {
	struct __sk_buff *skb;
	const struct device *device;
	struct counters *counters;
	struct cpu *state;
	__u32 cpu;
	__u32 generation;
	__u32 jiffies;
	__u32 input, output; /* as flow.Packet has them */
	__u8 direction;
	__u8 nested;
};

/* Only a nested run shares its counters, with other nested runs. */
#define ADD(run, counter, n)                                                       \
	do {                                                                       \
		if ((run)->nested)                                                 \
			__sync_fetch_and_add(&(run)->counters->counter, (__u64)(n)); \
		else                                                               \
			(run)->counters->counter += (n);                           \
	} while (0)

static inline_always const struct device *find_device(__u32 ifindex)
{
	for (int i = 0; i < DEVICE_PROBES; i++) {
		__u32 at = (ifindex + i) % DEVICES;
		const struct device *d = bpf_map_lookup_elem(&devices, &at);

		if (!d || !d->ifindex)
			return 0;
		if (d->ifindex == ifindex)
			return d;
	}
	return 0;
}

static inline_always void *find_ring(__u32 cpu)
{
	return bpf_map_lookup_elem(&rings, &cpu);
}

/* push hands an entry to user space, and says whether there was room for it. */
static inline_always int push(const struct run *r, const struct entry *e)
{
	struct victim *v;
	void *ring = find_ring(r->cpu);

	if (!ring)
		return 0;
	v = bpf_ringbuf_reserve(ring, sizeof(*v), 0);
	if (!v)
		return 0;
	v->head.kind = RECORD_VICTIM;
	v->head.generation = r->generation;
	__builtin_memcpy(&v->entry, e, sizeof(*e));
	bpf_ringbuf_submit(v, BPF_RB_NO_WAKEUP);
	return 1;
}

/* wake has user space look at once. */
static inline_always void wake(const struct run *r)
{
	struct record *head;
	void *ring = find_ring(r->cpu);

	if (!ring)
		return;
	head = bpf_ringbuf_reserve(ring, sizeof(*head), 0);
	if (!head)
		return;
	head->kind = RECORD_WAKE;
	head->generation = r->generation;
	bpf_ringbuf_submit(head, BPF_RB_FORCE_WAKEUP);
}

/* hand gives the frame to the decoder in user space. */
static inline_always void hand(const struct run *r)
{
	struct __sk_buff *skb = r->skb;
	__u32 captured = skb->len < SNAP ? skb->len : SNAP;
	struct snapshot *s = 0;
	void *ring = find_ring(r->cpu);

	if (ring)
		s = bpf_ringbuf_reserve(ring, sizeof(*s), 0);
	if (!s) {
		ADD(r, lost, 1);
		ADD(r, lost_unread, 1);
		return;
	}
	s->head.kind = RECORD_SNAPSHOT;
	s->head.generation = r->generation;
	s->time = bpf_ktime_get_ns();
	s->jiffies = r->jiffies;
	s->input = r->input;
	s->output = r->output;
	s->length = skb->len;
	s->has_tag = skb->vlan_present != 0;
	s->tci = skb->vlan_tci;
	s->tpid = be16((__u16)skb->vlan_proto);
	s->gso_size = skb->gso_size;
	s->interface = r->device->interface;
	s->raw = (r->device->flags & DEVICE_RAW) != 0;
	s->direction = r->direction;
	s->other_host = skb->pkt_type == PACKET_OTHERHOST;
	s->spare = 0;
	captured = mask(captured - 1, SNAP - 1) + 1;
	s->captured = captured;
	if (bpf_skb_load_bytes(skb, 0, s->data, captured))
		s->captured = 0;
	ADD(r, handed, 1);
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);
}

static inline_always void lose(const struct run *r, const struct entry *p)
{
	ADD(r, lost, 1);
	ADD(r, lost_packets, p->packets);
	ADD(r, lost_octets, p->octets);
}

/* hash is a sum of products with odd secrets, mixed once more: who does not know
 * them cannot aim at a set. */
static inline_always __u32 hash(const struct entry *p)
{
	__u64 h = p->src[0] * seed[0] + p->dst[0] * seed[1] + u64_at(p, 32) * seed[2] + u32_at(p, 40) * seed[3];

	if (p->version == 6)
		h += p->src[1] * seed[4] + p->dst[1] * seed[5];
	h ^= h >> 32;
	h *= seed[6];
	return h >> 32;
}

/* The whole key is compared, the ports and the input interface first. */
static inline_always int is_same(const struct entry *e, const struct entry *p)
{
	return u64_at(e, 32) == u64_at(p, 32) && e->packets && e->src[0] == p->src[0] && e->dst[0] == p->dst[0] &&
	       u32_at(e, 40) == u32_at(p, 40) && e->src[1] == p->src[1] && e->dst[1] == p->dst[1];
}

static inline_always void join(struct entry *e, const struct entry *p, __u32 jiffies)
{
	e->packets += p->packets;
	e->octets += p->octets;
	e->last = jiffies;
	e->frames++;
	e->other_host += p->other_host;
	e->tcp_flags |= p->tcp_flags;
	if (p->min_length < e->min_length)
		e->min_length = p->min_length;
	if (p->max_length > e->max_length)
		e->max_length = p->max_length;
	if (p->min_ttl < e->min_ttl)
		e->min_ttl = p->min_ttl;
	if (p->max_ttl > e->max_ttl)
		e->max_ttl = p->max_ttl;
}

/* complete fills in the rest of an entry that is to be made. */
static inline_always void complete(const struct run *r, struct entry *p)
{
	p->first = p->last = r->jiffies;
	p->frames = 1;
	p->egress = r->output;
	fill_link(r->skb, r->device, p);
}

static inline_always __u32 set_of(const struct run *r, const struct entry *p)
{
	return ((r->generation * cpus + r->cpu) << set_shift) + (hash(p) & ((1U << set_shift) - 1));
}

/* older says which of two entries is to leave before the other: the one that was
 * used less recently and, within a tick, the smaller one, so that a scan does not
 * drive out what lasts. */
static inline_always int older(const struct entry *a, const struct entry *b)
{
	return a->last == b->last ? a->packets < b->packets : (__s32)(a->last - b->last) < 0;
}

/* insert makes an entry of *p in a set that does not have one. */
static inline_always void insert(const struct run *r, struct set *s, __u32 index, struct entry *p)
{
	struct entry *e = 0;
	__u32 bits = index / 64, at = 0;
	__u64 *word;

	for (int i = 0; i < WAYS; i++) {
		if (!s->way[i].packets) {
			e = &s->way[i];
			break;
		}
	}
	complete(r, p);
	if (e) {
		*e = *p;
		word = bpf_map_lookup_elem(&used, &bits);
		if (word)
			*word |= 1ULL << (index % 64);
		if (++r->state->inserts[mask(r->generation, 1)] == wake_at)
			wake(r);
		return;
	}
	for (__u32 i = 1; i < WAYS; i++) {
		if (older(&s->way[i], &s->way[mask(at, WAYS - 1)]))
			at = i;
	}
	e = &s->way[mask(at, WAYS - 1)];
	if (push(r, e))
		*e = *p;
	else
		lose(r, p);
}

/* observe adds the packet to its entry, or makes one. */
static inline_always void observe(const struct run *r, struct entry *p)
{
	__u32 index = set_of(r, p);
	struct set *s = bpf_map_lookup_elem(&sets, &index);

	if (!s)
		return;
	for (int i = 0; i < WAYS; i++) {
		struct entry *e = &s->way[i];

		if (!is_same(e, p))
			continue;
		/* A SYN never joins a connection that has ended, unless there is no room. */
		if (p->tcp_flags & SYN && e->tcp_flags & (FIN | RST) && push(r, e)) {
			complete(r, p);
			*e = *p;
			return;
		}
		join(e, p, r->jiffies);
		return;
	}
	insert(r, s, index, p);
}

/* note keeps the egress interface of a forwarded flow in its entry, if that is in
 * this CPU's half. The first note stays. */
static inline_always void note(const struct run *r, struct entry *p)
{
	__u32 index = set_of(r, p);
	struct set *s = bpf_map_lookup_elem(&sets, &index);

	if (!s)
		return;
	for (int i = 0; i < WAYS; i++) {
		struct entry *e = &s->way[i];

		if (!is_same(e, p))
			continue;
		if (!e->egress)
			e->egress = r->skb->ifindex;
		return;
	}
}

/* enter takes the CPU's partition for this run, unless a run that this one
 * interrupted has it. */
static inline_always int enter(struct cpu *state)
{
#ifdef REALTIME
	return __sync_lock_test_and_set(&state->busy, 1) != 0;
#else
	if (state->busy)
		return 1;
	*(volatile __u32 *)&state->busy = 1;
	return 0;
#endif
}

static inline_always void leave(struct cpu *state)
{
	*(volatile __u32 *)&state->busy = 0;
}

/* start fills in what the run needs besides what it is about. The generation is
 * read before the clock: user space takes the clock before it flips. */
static inline_always int start(struct run *r)
{
	__u32 zero = 0;
	void *inner;
	__u32 *generation;

	inner = bpf_map_lookup_elem(&current, &zero);
	if (!inner)
		return 0;
	generation = bpf_map_lookup_elem(inner, &zero);
	if (!generation)
		return 0;
	r->generation = *generation & 1;
	r->jiffies = bpf_jiffies64();
	return 1;
}

/* meter counts the frame, or hands it over. */
static inline_always void meter(struct run *r)
{
	__u32 at = (r->device->interface * cpus + r->cpu) * 2 + r->nested;
	struct entry p;

	r->counters = bpf_map_lookup_elem(&counts, &at);
	if (!r->counters)
		return;
	ADD(r, observed, 1);
	p.input = r->input;
	p.direction = r->direction;
	p.other_host = r->skb->pkt_type == PACKET_OTHERHOST;
	switch (read_frame(r->skb, r->device, &p)) {
	case NOT_IP:
		ADD(r, ignored, 1);
		return;
	case HAND:
		hand(r);
		return;
	case READ:
		break;
	}
	ADD(r, metered_packets, p.packets);
	ADD(r, metered_octets, p.octets);
	if (!r->nested) {
		observe(r, &p);
		return;
	}
	complete(r, &p);
	if (!push(r, &p))
		lose(r, &p);
}

/* remark notes where a forwarded packet leaves. */
static inline_always void remark(struct run *r)
{
	struct entry p;

	if (r->nested)
		return;
	p.input = r->skb->ingress_ifindex;
	p.direction = 0;
	if (read_frame(r->skb, r->device, &p) == READ)
		note(r, &p);
}

/* What a hook does with a frame. */
enum { METER = 1, NOTE = 2 };

static inline_always int egress_task(const struct __sk_buff *skb, const struct device *d)
{
	const struct device *in;

	if (d->flags & DEVICE_EGRESS_ALL)
		return METER;
	if (skb->ingress_ifindex) {
		in = find_device(skb->ingress_ifindex);
		if (in && in->flags & DEVICE_INGRESS)
			return NOTE;
	}
	return d->flags & DEVICE_EGRESS ? METER : 0;
}

static inline_always int hook(struct __sk_buff *skb, __u8 egress)
{
	struct run r = {.skb = skb, .direction = egress};
	int task;

	if (legacy && (__u32)bpf_jiffies64() - heartbeat > legacy)
		return NEXT;
	/* A copy of what this host sent to a group; a packet socket does not see it either. */
	if (skb->pkt_type == PACKET_LOOPBACK)
		return NEXT;
	r.device = find_device(skb->ifindex);
	if (!r.device)
		return NEXT;
	if (egress)
		task = egress_task(skb, r.device);
	else
		task = r.device->flags & DEVICE_INGRESS ? METER : 0;
	if (!task)
		return NEXT;
	r.input = egress ? skb->ingress_ifindex : skb->ifindex;
	r.output = egress ? skb->ifindex : 0;
	r.cpu = bpf_get_smp_processor_id();
	r.state = bpf_map_lookup_elem(&cpu_states, &r.cpu);
	if (!r.state)
		return NEXT;
	r.nested = enter(r.state);
	if (start(&r)) {
		if (task == METER)
			meter(&r);
		else
			remark(&r);
	}
	if (!r.nested)
		leave(r.state);
	return NEXT;
}

SEC("tc")
int cacheflow_ingress(struct __sk_buff *skb)
{
	return hook(skb, 0);
}

SEC("tc")
int cacheflow_egress(struct __sk_buff *skb)
{
	return hook(skb, 1);
}

/* User space runs this one to learn the time in jiffies, of which it gets the low
 * 32 bits. */
SEC("tc")
int cacheflow_jiffies(struct __sk_buff *skb __attribute__((unused)))
{
	return bpf_jiffies64();
}

/* What user space shares gets into the type information only where something
 * global is of its type. */
struct {
	struct record record;
	struct victim victim;
	struct snapshot snapshot;
	enum device_flag device_flag;
	enum record_kind record_kind;
} *const shared_types = 0;

char license_name[] SEC("license") = "Dual BSD/GPL";
