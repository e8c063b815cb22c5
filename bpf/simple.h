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
	__type(value, struct entry);
};

struct simple_map flows0 SEC(".maps");
struct simple_map flows1 SEC(".maps");

static inline_always void make_key(const struct run *r, const struct entry *p, struct simple_key *k)
{
	__builtin_memcpy(k->src, p->src, sizeof(k->src));
	__builtin_memcpy(k->dst, p->dst, sizeof(k->dst));
	k->ports = p->ports;
	k->kind = p->kind;
	k->cpu = r->cpu;
}

static inline_always struct entry *find(const struct run *r, const struct simple_key *k)
{
	return r->half ? bpf_map_lookup_elem(&flows1, k) : bpf_map_lookup_elem(&flows0, k);
}

static inline_always long make(const struct run *r, const struct simple_key *k, const struct entry *p)
{
	return r->half ? bpf_map_update_elem(&flows1, k, p, BPF_NOEXIST) : bpf_map_update_elem(&flows0, k, p, BPF_NOEXIST);
}

/* observe adds the packet to its entry, or makes one; where the map is full the packet
 * goes through the ring by itself. */
static inline_always void observe(const struct run *r, const struct tags *t, struct entry *p)
{
	struct simple_key k;
	struct entry *e;

	make_key(r, p, &k);
	e = find(r, &k);
	if (e && !(p->tcp_flags & SYN && e->tcp_flags & (FIN | RST) && push(r, e))) {
		join(e, p, r->jiffies);
		return;
	}
	complete(r, t, p);
	if (e)
		*e = *p;
	else if (make(r, &k, p) && !push(r, p))
		lose(r, p);
}

/* note keeps the egress interface of a forwarded flow. The first note stays. */
static inline_always void note(const struct run *r, struct entry *p)
{
	struct simple_key k;
	struct entry *e;

	make_key(r, p, &k);
	e = find(r, &k);
	if (e && !e->egress)
		e->egress = r->ifindex;
}
