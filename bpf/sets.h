/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The first-level cache as it is meant: sets of four entries, of which each CPU has
 * a part of its own in each generation. It is included by cacheflow.c. */

#pragma once

/* Set by user space before the program is loaded. */
const volatile __u32 set_mask = 0;   /* the sets of one part, less one */
const volatile __u32 wake_at = 0;    /* flows made in a part at which user space is woken */
const volatile __u64 seed[7] = {};   /* odd numbers, of which the hash is made */
const volatile __u32 log_places = 0; /* of a CPU, a power of two; 0: what leaves goes into the ring */
const volatile __u32 log_open = 0;   /* how many of the last flows in a log user space leaves alone */

/* A word for each set: of each way the tag of its entry, 15 bits of the hash and a bit that is
 * set, or 0 where the way is free, whatever else is in it. A packet so finds its entry, or that
 * it has none, by this word, and touches one line of the set. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* by CPU, generation and set */
	__type(key, __u32);
	__type(value, __u64);
} sets_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as sets_tags */
	__type(key, __u32);
	__type(value, struct set);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as sets_tags */
	__type(key, __u32);
	__type(value, struct set_details);
} sets_details SEC(".maps");

/* The log of each CPU holds what left its sets or passed them by, for user space to take: a
 * queue with one writer, the run that has the partition, and one reader. Unlike a ring it
 * takes no lock, and no call but to wake, but it needs a processor that keeps stores in
 * order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* by CPU and place */
	__type(key, __u32);
	__type(value, struct flow);
} logs SEC(".maps");

/* Where in the log of a CPU the flows are that passed its sets by, the last one of each
 * bucket; each tells where the one before it is. By this the egress hook finds them. */
struct passed {
	__u32 last[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* cpus */
	__type(key, __u32);
	__type(value, struct passed);
} passed_by SEC(".maps");

/* Where a flow belongs. */
struct spot {
	__u32 set;
	__u32 bucket; /* of struct passed */
	__u64 tag;
};

/* The hash is a sum of products with odd secrets, mixed once more: who does not know
 * them cannot aim at a set. */
static inline_always void locate(const struct run *r, const struct flow *p, struct spot *at)
{
	__u64 h = p->entry.src * seed[0] + p->entry.dst * seed[1] + p->entry.ports * seed[2] + p->entry.kind * seed[3];

	if (is_ipv6(&p->entry))
		h += p->details.src_rest * seed[4] + p->details.dst_rest * seed[5];
	h ^= h >> 32;
	h *= seed[6];
	at->set = r->state->first_set + r->half + ((__u32)(h >> 32) & set_mask);
	at->tag = h >> 48 | 0x8000;
	at->bucket = h >> 24 & 0xff;
}

#define LANES 0x0001000100010001ULL

/* lanes_of marks the lanes of a word that have a tag, by their highest bit. Behind one that it
 * marks it may mark one whose tag differs in the lowest bit, which the key refutes; never a free
 * way for one that has a tag, nor the other way round, since their highest bits differ. */
static inline_always __u64 lanes_of(__u64 word, __u64 tag)
{
	__u64 x = word ^ tag * LANES;

	return (x - LANES) & ~x & LANES << 15;
}

/* first_way is the way of the first lane that is marked: the product has it in its two
 * highest bits. */
static inline_always __u32 first_way(__u64 lanes)
{
	return ((lanes & -lanes) >> 15) * (1ULL << 46 | 2ULL << 30 | 3ULL << 14) >> 62;
}

static inline_always void set_tag(__u64 *word, __u32 way, __u64 tag)
{
	*word = (*word & ~(0xffffULL << 16 * way)) | tag << 16 * way;
}

/* What an entry has of the key is compared by one branch: it lies in one cache line. */
static inline_always int is_same(const struct entry *e, const struct entry *p)
{
	return !((e->ports ^ p->ports) | (e->src ^ p->src) | (e->dst ^ p->dst) | (e->kind ^ p->kind));
}

static inline_always int is_same_rest(const struct details *d, const struct details *p)
{
	return !((d->src_rest ^ p->src_rest) | (d->dst_rest ^ p->dst_rest));
}

static inline_always struct set_details *details_of(__u32 set)
{
	return bpf_map_lookup_elem(&sets_details, &set);
}

/* find returns the way that has the flow, or WAYS. */
static inline_always __u32 find(const struct set *s, __u64 word, const struct spot *at, const struct flow *p)
{
	__u64 lanes = lanes_of(word, at->tag);
	const struct set_details *d = 0;

	if (unlikely(is_ipv6(&p->entry)) && lanes) {
		d = details_of(at->set);
		if (!d)
			return WAYS;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < WAYS && lanes; i++, lanes &= lanes - 1) {
		__u32 way = first_way(lanes);

		if (unlikely(!is_same(&s->way[mask(way, WAYS - 1)], &p->entry)))
			continue;
		if (d && !is_same_rest(&d->way[mask(way, WAYS - 1)], &p->details))
			continue;
		return way;
	}
	return WAYS;
}

/* worth is how many packets an entry has, halved for each 16 ticks that it has waited for
 * another: few flows have most of the packets, and a scan does not drive them out; nor does
 * one that has ended stay for what it was. */
static inline_always __u32 worth(const struct run *r, const struct entry *e)
{
	__u32 age = (r->jiffies - e->last) / 16;

	return age < 32 ? e->packets >> age : 0;
}

/* leaves_before says which of two entries is to leave: the one that is worth less and, of
 * equals, the one that was used less recently. */
static inline_always int leaves_before(const struct run *r, const struct entry *a, const struct entry *b)
{
	__u32 x = worth(r, a), y = worth(r, b);

	return x == y ? (__s32)(a->last - b->last) < 0 : x < y;
}

/* count_flow counts a flow that was made, and wakes user space when they are many. */
static inline_always void count_flow(const struct run *r)
{
	if (++r->state->flows[r->half ? 1 : 0] == wake_at)
		wake(r);
}

/* let_go hands a flow to user space, and says whether there was room for it. User space
 * is woken when a quarter of the log waits for it, and at each further one. */
static inline_always int let_go(const struct run *r, const struct entry *e, const struct details *d)
{
	struct cpu *state = r->state;
	__u32 at = state->logged, waiting = at - *(volatile __u32 *)&state->taken, index;
	struct flow *place;

	if (!log_places)
		return push(r, e, d);
	if (waiting >= log_places)
		return 0;
	index = r->cpu * log_places + (at & (log_places - 1));
	place = bpf_map_lookup_elem(&logs, &index);
	if (!place)
		return 0;
	place->entry = *e;
	place->details = *d;
	place->details.generation = r->half != 0;
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&state->logged = at + 1;
	if (!((waiting + 1) & (log_places / 4 - 1)))
		wake(r);
	return 1;
}

/* pass hands the packet over as a flow of its own. */
static inline_always void pass(const struct run *r, const struct spot *at, struct flow *p)
{
	struct passed *passed = bpf_map_lookup_elem(&passed_by, &r->cpu);
	__u32 position = r->state->logged;

	if (!passed)
		return;
	p->details.before = passed->last[mask(at->bucket, 255)];
	if (!let_go(r, &p->entry, &p->details)) {
		lose(r, p);
		return;
	}
	passed->last[mask(at->bucket, 255)] = position;
	count_flow(r);
}

/* One miss out of so many looks for an entry that is to leave: its line is rarely in a cache
 * of the processor. */
#define LOOK 4

/* to_leave is the way of a full set whose entry is to leave for another, or WAYS where the
 * other is to pass by. What has a worth stays: to look at one entry now and then, of a way
 * that changes, finds what is not worth its place soon enough. What passes by cannot be
 * found again in a ring, as the egress hook has to: then one always leaves. */
static inline_always __u32 to_leave(const struct run *r, const struct set *s)
{
	__u32 turn = r->state->logged + r->jiffies, way = 0;

	if (log_places) {
		way = turn / LOOK & (WAYS - 1);
		return turn % LOOK || worth(r, &s->way[way]) ? WAYS : way;
	}
	for (__u32 i = 1; i < WAYS; i++) {
		if (leaves_before(r, &s->way[i], &s->way[mask(way, WAYS - 1)]))
			way = i;
	}
	return way;
}

/* admit makes an entry of the packet: in a free way, or in that of one which is to leave. */
static inline_always void admit(const struct run *r, struct set *s, __u64 *word, const struct spot *at, const struct tags *t, struct flow *p)
{
	__u64 free = lanes_of(*word, 0);
	struct set_details *d;
	__u32 way;

	complete(r, t, p);
	way = free ? first_way(free) : to_leave(r, s);
	if (way >= WAYS) {
		pass(r, at, p);
		return;
	}
	way = mask(way, WAYS - 1);
	d = details_of(at->set);
	if (!d)
		return;
	if (!free && !let_go(r, &s->way[way], &d->way[way])) {
		lose(r, p);
		return;
	}
	s->way[way] = p->entry;
	d->way[way] = p->details;
	set_tag(word, way, at->tag);
	count_flow(r);
}

/* observe adds the packet to its flow, or makes one. A set is filled from its first way on,
 * and what is in it stays there until the generation is closed or another takes its place.
 * The details are looked up where something of them is needed. */
static inline_always void observe(const struct run *r, const struct tags *t, struct flow *p)
{
	struct set_details *d;
	struct spot at;
	struct set *s;
	__u64 *word;
	__u32 way;

	locate(r, p, &at);
	word = bpf_map_lookup_elem(&sets_tags, &at.set);
	s = bpf_map_lookup_elem(&sets, &at.set);
	if (!word || !s)
		return;
	way = find(s, *word, &at, p);
	if (way >= WAYS) {
		admit(r, s, word, &at, t, p);
		return;
	}
	way = mask(way, WAYS - 1);
	if (likely(!begins_anew(&s->way[way], p) && !p->details.merged)) {
		join(&s->way[way], &p->entry, r->jiffies);
		return;
	}
	d = details_of(at.set);
	if (!d)
		return;
	/* A SYN never joins a connection that has ended, unless there is no room. */
	if (begins_anew(&s->way[way], p) && let_go(r, &s->way[way], &d->way[way])) {
		complete(r, t, p);
		s->way[way] = p->entry;
		d->way[way] = p->details;
		return;
	}
	join(&s->way[way], &p->entry, r->jiffies);
	d->way[way].merged += p->details.merged;
}

#define PASSED 64 /* flows of a bucket that are looked at: a driver's batch */

/* note_passed keeps it in the flows of this key that passed the sets by since the last one
 * that has a note: in all, since it is the first that decides. User space leaves them alone
 * as long as they are among the last in the log. */
static inline_always void note_passed(const struct run *r, const struct spot *at, const struct flow *p)
{
	struct passed *passed = bpf_map_lookup_elem(&passed_by, &r->cpu);
	__u32 position;

	if (!log_places || !passed)
		return;
	position = passed->last[mask(at->bucket, 255)];
#pragma clang loop unroll(disable)
	for (int i = 0; i < PASSED && r->state->logged - position - 1 < log_open; i++) {
		__u32 index = r->cpu * log_places + (position & (log_places - 1));
		struct flow *place = bpf_map_lookup_elem(&logs, &index);

		if (!place || place->details.generation != (r->half != 0))
			return;
		if (is_same(&place->entry, &p->entry) && is_same_rest(&place->details, &p->details)) {
			if (place->entry.egress)
				return;
			place->entry.egress = r->ifindex;
		}
		position = place->details.before;
	}
}

/* note keeps the egress interface of a forwarded flow in its entry, if that is in
 * this CPU's half. The first note stays. Packets come in by the dozen before the first of
 * them leaves: what is before an entry that was made just now may have passed by. */
static inline_always void note(const struct run *r, const struct flow *p)
{
	struct entry *e;
	struct spot at;
	struct set *s;
	__u64 *word;
	__u32 way;

	locate(r, p, &at);
	word = bpf_map_lookup_elem(&sets_tags, &at.set);
	s = bpf_map_lookup_elem(&sets, &at.set);
	if (!word || !s)
		return;
	way = find(s, *word, &at, p);
	e = &s->way[mask(way, WAYS - 1)];
	if (unlikely(way >= WAYS))
		note_passed(r, &at, p);
	else if (!e->egress)
		e->egress = r->ifindex;
	else if (unlikely(r->jiffies - e->first <= 1))
		note_passed(r, &at, p);
}
