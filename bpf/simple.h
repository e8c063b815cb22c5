/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The first-level cache as simply as it can be: an ordinary hash map for each
 * generation, with the CPU in its key so that an entry has one writer. It is dearer,
 * and there to judge the other one by. It is included by cacheflow.c. */

#pragma once

struct simple_key {
	__u64 src[2], dst[2], ports;
	__u32 kind, cpu;
};

struct simple_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct simple_key);
	__type(value, struct flow);
};

struct simple_map flows0 SEC(".maps");
struct simple_map flows1 SEC(".maps");

static inline_always void make_key(const struct run *r, const struct flow *p, struct simple_key *k)
{
	k->src[0] = p->entry.src;
	k->src[1] = p->details.src_rest;
	k->dst[0] = p->entry.dst;
	k->dst[1] = p->details.dst_rest;
	k->ports = p->entry.ports;
	k->kind = p->entry.kind;
	k->cpu = r->cpu;
}

static inline_always struct flow *find(const struct run *r, const struct simple_key *k)
{
	return r->half ? bpf_map_lookup_elem(&flows1, k) : bpf_map_lookup_elem(&flows0, k);
}

static inline_always long make(const struct run *r, const struct simple_key *k, const struct flow *p)
{
	return r->half ? bpf_map_update_elem(&flows1, k, p, BPF_NOEXIST) : bpf_map_update_elem(&flows0, k, p, BPF_NOEXIST);
}

/* observe adds the packet to its entry, or makes one; where the map is full the packet
 * goes through the ring by itself. */
static inline_always void observe(const struct run *r, const struct tags *t, struct flow *p)
{
	struct simple_key k;
	struct flow *f;

	make_key(r, p, &k);
	f = find(r, &k);
	if (f && !(begins_anew(&f->entry, p) && push(r, &f->entry, &f->details))) {
		join(&f->entry, &p->entry, r->jiffies);
		f->details.merged += p->details.merged;
		return;
	}
	complete(r, t, p);
	if (f)
		*f = *p;
	else if (make(r, &k, p) && !push(r, &p->entry, &p->details))
		lose(r, p);
}

/* note keeps the egress interface of a forwarded flow. The first note stays. */
static inline_always void note(const struct run *r, struct flow *p)
{
	struct simple_key k;
	struct flow *f;

	make_key(r, p, &k);
	f = find(r, &k);
	if (f && !f->entry.egress)
		f->entry.egress = r->ifindex;
}
