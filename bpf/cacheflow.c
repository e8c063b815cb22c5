//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The first-level cache: a program at the ingress and egress hooks of devices
 * counts packets in a set-associative cache inside the kernel. What leaves that
 * cache goes to user space: what a full set has no room for, or no more, by the log of
 * its CPU, the rest by the mapping of the half (generation) that has been closed.
 *
 * A packet is counted in exactly one place: in sampled_out, in ignored, in an entry, in a
 * record of a log or a ring, or in lost. The walker (walk.h) only ever says what it is sure of.
 * Whatever is rare, cut off, broken or a fragment goes to user space as a
 * snapshot, and the decoder there decides: so no packet is metered differently
 * from how the AF_PACKET capture meters it. */

#include <linux/bpf.h>
#include <linux/if_packet.h>

#include "helpers.h"
#include "abi.h"
#include "walk.h"

#define NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC: whoever comes next decides */

/* Set by user space before the program is loaded. Under clsact the program returns
 * when the heartbeat is older than so many jiffies; under tcx this is 0. */
const volatile __u32 legacy = 0;

/* One frame out of so many is metered, on each CPU; 0: every frame. Of each interval
 * it is the first one, or one by chance. */
const volatile __u32 sample_interval = 0;
const volatile __u32 sample_random = 0;

/* User space is woken each time that so many octets were put into a CPU's ring. */
const volatile __u32 wake_octets = 0;

/* When user space was last alive: the low 32 bits of jiffies. It is looked at under
 * clsact only. */
__u32 heartbeat = 0;

/* The half that is written to: 0, or how many sets further on it is. User space
 * changes it and then waits for the runs that are under way: it replaces the element
 * of an array of maps, at which the kernel waits for them (maybe_wait_bpf_programs in
 * kernel/bpf/syscall.c). Then nobody writes to the other half any more. */
__u32 half = 0;

struct cpu cpu_states[CPUS] __attribute__((aligned(64))) = {};

/* By ifindex; see find_device. */
struct device devices[DEVICES] __attribute__((aligned(8))) = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* (cpu * 2 + whether the run was nested) * INTERFACES + interface */
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

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
	__u32 half; /* 0 in generation 0, and what to add to first_set in generation 1 */
	__u32 jiffies;
	__u32 ifindex;
	__u32 input, output; /* as flow.Packet has them */
	__u8 direction;
	__u8 nested;
	__u8 pkt_type;
};

/* Only a nested run shares its counters, with other nested runs. */
#define ADD(run, counter, n)                                                       \
	do {                                                                       \
		if ((run)->nested)                                                 \
			__sync_fetch_and_add(&(run)->counters->counter, (__u64)(n)); \
		else                                                               \
			(run)->counters->counter += (n);                           \
	} while (0)

/* find_device looks in the place that the ifindex says, and in those behind it until
 * one was never used. */
static inline_always const struct device *find_device(__u32 ifindex)
{
	for (int i = 0; i < DEVICE_PROBES; i++) {
		const struct device *d = &devices[mask(ifindex + i, DEVICES - 1)];

		if (likely(d->ifindex == ifindex))
			return d;
		if (!d->ifindex)
			break;
	}
	return 0;
}

static inline_always void *find_ring(__u32 cpu)
{
	return bpf_map_lookup_elem(&rings, &cpu);
}

/* wakeup returns the flags to submit a record with, for which octets of the ring were
 * reserved. */
static inline_always __u64 wakeup(const struct run *r, __u32 octets)
{
	r->state->filled += octets;
	if (r->state->filled < wake_octets)
		return BPF_RB_NO_WAKEUP;
	r->state->filled = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* push hands a flow to user space, and says whether there was room for it. */
static inline_always int push(const struct run *r, const struct entry *e, const struct details *d)
{
	struct victim *v;
	void *ring = find_ring(r->cpu);

	if (!ring)
		return 0;
	v = bpf_ringbuf_reserve(ring, sizeof(*v), 0);
	if (!v)
		return 0;
	v->head.kind = RECORD_VICTIM;
	v->head.generation = r->half != 0;
	v->flow.entry = *e;
	v->flow.details = *d;
	bpf_ringbuf_submit(v, wakeup(r, sizeof(*v)));
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
	head->generation = r->half != 0;
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
		return;
	}
	s->head.kind = RECORD_SNAPSHOT;
	s->head.generation = r->half != 0;
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
	__builtin_memset(s->spare, 0, sizeof(s->spare));
	captured = mask(captured - 1, SNAP - 1) + 1;
	s->captured = captured;
	if (bpf_skb_load_bytes(skb, 0, s->data, captured))
		s->captured = 0;
	ADD(r, handed, 1);
	bpf_ringbuf_submit(s, wakeup(r, sizeof(*s)));
}

static inline_always void lose(const struct run *r, const struct flow *p)
{
	ADD(r, lost, 1);
	ADD(r, lost_packets, p->entry.packets);
	ADD(r, lost_octets, p->entry.octets);
}

static inline_always void join(struct entry *e, const struct entry *p, __u32 jiffies)
{
	e->packets += p->packets;
	e->octets += p->octets;
	e->last = jiffies;
	e->tcp_flags |= p->tcp_flags;
	if (p->min_length < e->min_length)
		e->min_length = p->min_length;
	if (p->max_length > e->max_length)
		e->max_length = p->max_length;
	if (p->min_ttl < e->min_ttl)
		e->min_ttl = p->min_ttl;
	else if (p->max_ttl > e->max_ttl)
		e->max_ttl = p->max_ttl;
}

/* begins_anew says whether a packet opens a connection by the key of one that has ended,
 * which it does not join. */
static inline_always int begins_anew(const struct entry *e, const struct flow *p)
{
	return p->entry.tcp_flags & SYN && e->tcp_flags & (FIN | RST);
}

/* complete fills in the rest of a flow that is to be made. */
static inline_always void complete(const struct run *r, const struct tags *t, struct flow *p)
{
	p->entry.first = p->entry.last = r->jiffies;
	p->entry.egress = r->output;
	fill_link(r->skb, r->device, t, p);
}

#ifdef SIMPLE
#include "simple.h"
#else
#include "sets.h"
#endif

/* enter takes the CPU's partition for this run, unless a run that this one
 * interrupted has it. */
static inline_always int enter(struct cpu *state)
{
#ifdef REALTIME
	return __sync_lock_test_and_set(&state->busy, 1) != 0;
#else
	if (unlikely(state->busy))
		return 1;
	*(volatile __u32 *)&state->busy = 1;
	return 0;
#endif
}

static inline_always void leave(struct cpu *state)
{
	*(volatile __u32 *)&state->busy = 0;
}

/* begin fills in what of the key is known before the frame is read. */
static inline_always void begin(const struct run *r, __u8 direction, struct flow *p)
{
	p->entry.ports = second_half(r->input);
	p->entry.kind = direction_of(direction);
	p->details.src_rest = p->details.dst_rest = 0;
}

/* is_chosen says whether the sampler lets the frame pass. Nested runs share it with the
 * one that they interrupt, so that an interval may be cut short or run over. */
static inline_always int is_chosen(struct cpu *state)
{
	if (!state->sampler) {
		state->sampler = sample_interval;
		state->chosen = sample_interval;
		if (sample_random)
			state->chosen = 1 + (__u32)((__u64)bpf_get_prandom_u32() * sample_interval >> 32);
	}
	return state->sampler && state->sampler-- == state->chosen;
}

/* meter counts the frame, or hands it over. */
static inline_always void meter(struct run *r)
{
	__u32 at = (r->cpu * 2 + r->nested) * INTERFACES + r->device->interface;
	struct tags tags = {};
	struct flow p;

	r->counters = bpf_map_lookup_elem(&counts, &at);
	if (unlikely(!r->counters))
		return;
	ADD(r, observed, 1);
	if (unlikely(sample_interval) && !is_chosen(r->state)) {
		ADD(r, sampled_out, 1);
		return;
	}
	if (r->pkt_type == PACKET_OTHERHOST)
		ADD(r, other_host, 1);
	begin(r, r->direction, &p);
	switch (read_frame(r->skb, r->device, &p, &tags)) {
	case NOT_IP:
		ADD(r, ignored, 1);
		return;
	case HAND:
		hand(r);
		return;
	case READ:
		break;
	}
	ADD(r, metered_packets, p.entry.packets);
	ADD(r, metered_octets, p.entry.octets);
	if (!r->nested) {
		observe(r, &tags, &p);
		return;
	}
	complete(r, &tags, &p);
	if (!push(r, &p.entry, &p.details))
		lose(r, &p);
}

/* remark notes where a forwarded packet leaves. */
static inline_always void remark(struct run *r)
{
	struct tags tags = {};
	struct flow p;

	if (r->nested)
		return;
	begin(r, 0, &p);
	if (read_frame(r->skb, r->device, &p, &tags) == READ)
		note(r, &p);
}

/* What a hook does with a frame. */
enum task { NOTHING, METER, NOTE };

static inline_always enum task egress_task(const struct run *r)
{
	const struct device *in;

	if (r->device->flags & DEVICE_EGRESS_ALL)
		return METER;
	if (r->input) {
		in = find_device(r->input);
		if (in && in->flags & (DEVICE_INGRESS | DEVICE_COVERED))
			return NOTE;
	}
	return r->device->flags & DEVICE_EGRESS ? METER : NOTHING;
}

static inline_always void work(struct run *r, enum task task, __u8 nested)
{
	r->nested = nested; /* a constant, so that neither case pays for the other */
	/* The generation before the clock: user space takes the clock before it flips. */
	if (nested)
		r->half = r->state->half; /* as the interrupted run: generations do not mix in a log or a ring */
	else
		r->state->half = r->half = *(volatile __u32 *)&half;
	r->jiffies = bpf_jiffies64();
	if (likely(task == METER))
		meter(r);
	else
		remark(r);
}

static inline_always int hook(struct __sk_buff *skb, __u8 egress)
{
	struct run r = {.skb = skb, .direction = egress, .ifindex = skb->ifindex, .output = 0, .pkt_type = skb->pkt_type};
	enum task task;
	struct cpu *state;

	/* A heartbeat from the future is one that jiffies have gone round since. */
	if (unlikely(legacy) && (__u32)bpf_jiffies64() - heartbeat + legacy > 2 * legacy)
		return NEXT;
	/* A copy of what this host sent to a group; a packet socket does not see it either. */
	if (unlikely(r.pkt_type == PACKET_LOOPBACK))
		return NEXT;
	r.device = find_device(r.ifindex);
	if (unlikely(!r.device))
		return NEXT;
	if (egress) {
		r.input = skb->ingress_ifindex;
		r.output = r.ifindex;
		task = egress_task(&r);
	} else {
		r.input = r.ifindex;
		task = r.device->flags & DEVICE_INGRESS ? METER : NOTHING;
	}
	if (task == NOTHING)
		return NEXT;
	r.cpu = bpf_get_smp_processor_id();
	r.state = state = &cpu_states[mask(r.cpu, CPUS - 1)];
	if (unlikely(enter(state))) {
		work(&r, task, 1);
	} else {
		work(&r, task, 0);
		leave(state);
	}
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
