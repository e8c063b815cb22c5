/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The first-level cache as it is meant: sets of four entries, of which each CPU has
 * a part of its own in each generation. It is included by cacheflow.c. */

#pragma once

/* Set by user space before the program is loaded. */
const volatile __u32 set_mask = 0;  /* the sets of one part, less one */
const volatile __u32 wake_at = 0;   /* entries made in a part at which user space is woken */
const volatile __u64 seed[7] = {};  /* odd numbers, of which the hash is made */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* by CPU, generation and set */
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

/* The log of each CPU holds what left its sets, for user space to take: a queue with one
 * writer, the run that has the partition, and one reader. Unlike a ring it takes no lock,
 * and no call but to wake, but it needs a processor that keeps stores in order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* by CPU and place */
	__type(key, __u32);
	__type(value, struct entry);
} logs SEC(".maps");

/* How many places a log has, a power of two; 0: what leaves goes into the ring. */
const volatile __u32 log_places = 0;

/* hash is a sum of products with odd secrets, mixed once more: who does not know
 * them cannot aim at a set. */
static inline_always __u32 hash(const struct entry *p)
{
	__u64 h = p->src[0] * seed[0] + p->dst[0] * seed[1] + p->ports * seed[2] + p->kind * seed[3];

	if (is_ipv6(p))
		h += p->src[1] * seed[4] + p->dst[1] * seed[5];
	h ^= h >> 32;
	h *= seed[6];
	return h >> 32;
}

/* The whole key is compared, by one branch: it lies in one cache line, and where a packet's
 * entry is in its set nobody foresees. */
static inline_always int is_same(const struct entry *e, const struct entry *p)
{
	return !((e->ports ^ p->ports) | (e->src[0] ^ p->src[0]) | (e->dst[0] ^ p->dst[0]) | (e->kind ^ p->kind) |
		 (e->src[1] ^ p->src[1]) | (e->dst[1] ^ p->dst[1]));
}

static inline_always __u32 set_of(const struct run *r, const struct entry *p)
{
	return r->state->first_set + r->half + (hash(p) & set_mask);
}

/* worth is how many packets an entry has, halved for each 32 ticks that it has waited for
 * another: few flows have most of the packets, and a scan does not drive them out; nor does
 * one that has ended stay for what it was. */
static inline_always __u32 worth(const struct run *r, const struct entry *e)
{
	__u32 age = (r->jiffies - e->last) / 32;

	return age < 32 ? e->packets >> age : 0;
}

/* leaves_before says which of two entries is to leave: the one that is worth less and, of
 * equals, the one that was used less recently. */
static inline_always int leaves_before(const struct run *r, const struct entry *a, const struct entry *b)
{
	__u32 x = worth(r, a), y = worth(r, b);

	return x == y ? (__s32)(a->last - b->last) < 0 : x < y;
}

/* count_flow counts an entry that was made, and wakes user space when they are many. */
static inline_always void count_flow(const struct run *r)
{
	if (++r->state->flows[r->half ? 1 : 0] == wake_at)
		wake(r);
}

/* let_go hands an entry to user space, and says whether there was room for it. User space
 * is woken when a quarter of the log waits for it, and at each further one. */
static inline_always int let_go(const struct run *r, const struct entry *e)
{
	struct cpu *state = r->state;
	__u32 at = state->logged, waiting = at - *(volatile __u32 *)&state->taken, index;
	struct entry *place;

	if (!log_places)
		return push(r, e);
	if (waiting >= log_places)
		return 0;
	index = r->cpu * log_places + (at & (log_places - 1));
	place = bpf_map_lookup_elem(&logs, &index);
	if (!place)
		return 0;
	*place = *e;
	place->generation = r->half != 0;
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&state->logged = at + 1;
	if (!((waiting + 1) & (log_places / 4 - 1)))
		wake(r);
	return 1;
}

/* make makes an entry of *p in a free place. */
static inline_always void make(const struct run *r, struct entry *e, __u32 index, const struct tags *t, struct entry *p)
{
	__u32 bits = index / 64;
	__u64 *word;

	complete(r, t, p);
	*e = *p;
	word = bpf_map_lookup_elem(&used, &bits);
	if (word)
		*word |= 1ULL << (index % 64);
	count_flow(r);
}

/* replace has the entry of a full set leave that is to leave before the others, and
 * makes one of *p in its place; unless the log has no room for it. */
static inline_always void replace(const struct run *r, struct set *s, const struct tags *t, struct entry *p)
{
	struct entry *e;
	__u32 at = 0;

	for (__u32 i = 1; i < WAYS; i++) {
		if (leaves_before(r, &s->way[i], &s->way[mask(at, WAYS - 1)]))
			at = i;
	}
	e = &s->way[mask(at, WAYS - 1)];
	if (!let_go(r, e)) {
		lose(r, p);
		return;
	}
	complete(r, t, p);
	*e = *p;
	count_flow(r);
}

/* observe adds the packet to its entry, or makes one. The entries of a set are made
 * one after the other, and stay until the generation is closed: behind a free one
 * there are only free ones. */
static inline_always void observe(const struct run *r, const struct tags *t, struct entry *p)
{
	__u32 index = set_of(r, p);
	struct set *s = bpf_map_lookup_elem(&sets, &index);

	if (!s)
		return;
	for (int i = 0; i < WAYS; i++) {
		struct entry *e = &s->way[i];

		if (!e->packets) {
			make(r, e, index, t, p);
			return;
		}
		if (!is_same(e, p))
			continue;
		/* A SYN never joins a connection that has ended, unless there is no room. */
		if (p->tcp_flags & SYN && e->tcp_flags & (FIN | RST) && let_go(r, e)) {
			complete(r, t, p);
			*e = *p;
			return;
		}
		join(e, p, r->jiffies);
		return;
	}
	replace(r, s, t, p);
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

		if (!e->packets)
			return;
		if (!is_same(e, p))
			continue;
		if (!e->egress)
			e->egress = r->ifindex;
		return;
	}
}

