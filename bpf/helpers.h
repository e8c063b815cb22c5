/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What the compiler and the loader (cilium/ebpf) need besides the kernel's UAPI
 * headers: the declarations of maps, and the helpers that the program calls, by
 * their numbers in linux/bpf.h. */

#pragma once

#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define inline_always inline __attribute__((always_inline))

/* The type of a map, as BTF tells it. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)BPF_FUNC_map_update_elem;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static __u32 (*const bpf_get_prandom_u32)(void) = (void *)BPF_FUNC_get_prandom_u32;
static __u64 (*const bpf_jiffies64)(void) = (void *)BPF_FUNC_jiffies64;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)BPF_FUNC_get_smp_processor_id;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)BPF_FUNC_ringbuf_reserve;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)BPF_FUNC_ringbuf_submit;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) __builtin_bswap16(x)
#define be32(x) __builtin_bswap32(x)
#else
#define be16(x) ((__u16)(x))
#define be32(x) ((__u32)(x))
#endif

/* Octets of a packet or an entry, which the kernel lets us read at any address. */
#define u8_at(p, off) (*(const __u8 *)((const void *)(p) + (off)))
#define u16_at(p, off) (*(const __u16 *)((const void *)(p) + (off)))
#define u32_at(p, off) (*(const __u32 *)((const void *)(p) + (off)))
#define u64_at(p, off) (*(const __u64 *)((const void *)(p) + (off)))

/* What is nearly always true, or never: the compiler keeps the way of most packets in one
 * piece, of which the processor has to fetch less. */
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* x & bits, by an instruction that the compiler cannot do without: the verifier
 * wants to see the bound, also where it is known. */
static inline_always __u64 mask(__u64 x, const __u32 bits)
{
	asm volatile("%0 &= %1" : "+r"(x) : "i"(bits));
	return x;
}
