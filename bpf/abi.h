/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What the program and user space share: the layout of the maps. bpf2go makes Go
 * types of it. All is in the byte order of the machine unless it says otherwise,
 * and has no padding that is not named. */

#pragma once

#include <linux/types.h>

/* What lies between the link header and the packet. */
struct tags {
	__u16 vlan, customer_vlan;
	__u8 mpls[3][3];
	__u8 mpls_depth;
	__u16 spare;
};

/* A flow of one generation on one CPU is in the first-level cache in two parts, a cache
 * line each, which lie in maps of their own. The entry is all of it that most packets
 * touch. */
struct entry {
	__u64 src; /* in network byte order; IPv4 in the first four octets, zeros behind */
	__u64 dst;
	__u64 ports;   /* source and destination port in network byte order, input interface */
	__u32 kind;    /* protocol, ToS, IP version, direction: an octet each */
	__u32 packets; /* on the wire: the segments of a super-packet */
	__u64 octets;  /* IP total lengths */
	__u32 first;   /* jiffies, the low 32 bits */
	__u32 last;
	__u32 egress; /* ifindex; 0 until the egress hook has noted it */
	__u32 min_length, max_length;
	__u16 tcp_flags; /* in network byte order */
	__u8 min_ttl, max_ttl;
};

/* The details are what the making of an entry writes, and packets that are rarer. */
struct details {
	__u64 src_rest; /* the second halves of IPv6 addresses */
	__u64 dst_rest;
	__u32 merged; /* by how many there are more packets than frames (sk_buffs) */
	__u32 before; /* in a log only: the position of one that passed by before it */
	struct tags tags;
	__u32 flow_label;
	__u8 dst_mac[6], src_mac[6];
	__u32 interface;  /* the observing interface's place in counts */
	__u32 generation; /* in a log only: that which it left */
};

/* Both, as they leave. */
struct flow {
	struct entry entry;
	struct details details;
};

#define WAYS 4

/* A set is what a hash selects. */
struct set {
	struct entry way[WAYS];
};

struct set_details {
	struct details way[WAYS];
};

#define INTERFACES 256

/* What one CPU has seen on one interface. Runs of the program that are nested
 * (see busy) count in a second one, by atomic additions. */
struct counters {
	__u64 observed; /* frames: the first that is counted */
	__u64 metered_packets; /* of what the program has read itself, lost or not */
	__u64 metered_octets;
	__u64 other_host;  /* frames: addressed to another host, of those that were chosen */
	__u64 sampled_out; /* frames: not chosen */
	__u64 ignored;  /* frames: not IP */
	__u64 handed;   /* frames: handed over as snapshots */
	__u64 lost;     /* frames: there was no room for them in the log or the ring */
	__u64 lost_packets, lost_octets; /* of lost: what had been read, unlike snapshots */
	__u64 spare[6];
};

#define CPUS 1024

/* The state of one CPU: a cache line that this CPU writes, and user space when it flips,
 * and one that only user space writes, as it reads. */
struct cpu {
	__u32 busy;       /* a run of the program is under way here */
	__u32 flows[2];   /* made in each generation since it was drained, passed by or not */
	__u32 first_set; /* of this CPU's part of generation 0 */
	__u32 half;      /* of the run that is under way */
	__u32 sampler; /* frames to go in the sampling interval */
	__u32 chosen;  /* the value of sampler at which a frame is chosen */
	__u32 filled;  /* octets put into the ring since user space was woken by them */
	__u32 logged;  /* flows put into the log, modulo 2^32 */
	__u32 spare[7];

	__u32 taken; /* flows taken from the log */
	__u32 spare2[15];
};

/* A device that has a hook, by its ifindex. */
struct device {
	__u32 ifindex; /* 0: the place is free */
	__u16 flags;
	__u16 interface; /* its place in counts */
};

enum device_flag {
	DEVICE_INGRESS = 1,    /* arriving frames are metered */
	DEVICE_EGRESS = 2,     /* leaving frames that came in by none of these are metered */
	DEVICE_EGRESS_ALL = 4, /* leaving frames are metered, whatever they came in by */
	DEVICE_RAW = 8,        /* it has no link header */
	DEVICE_COVERED = 16,   /* a VRF: what comes by it came in by a metered device */
};

/* Devices are found by open addressing: ifindex modulo DEVICES, and DEVICE_PROBES
 * places from there. */
#define DEVICES 4096
#define DEVICE_PROBES 8

enum record_kind {
	RECORD_VICTIM = 1,   /* a flow that left a full set, or was never in one */
	RECORD_SNAPSHOT = 2, /* headers for the decoder in user space */
	RECORD_WAKE = 3,     /* nothing: user space is to look */
};

/* The head of each record in a ring. */
struct record {
	__u32 kind;
	__u32 generation;
};

struct victim {
	struct record head;
	struct flow flow;
};

#define SNAP 256

/* A frame that user space decodes. */
struct snapshot {
	struct record head;
	__u64 time; /* CLOCK_MONOTONIC in nanoseconds, for the order between CPUs */
	__u32 jiffies;
	__u32 input, output; /* ifindex, as flow.Packet has them */
	__u32 length;	     /* of the whole frame, without a link header that is not in data */
	__u16 tci, tpid;     /* of the outer VLAN tag, where has_tag */
	__u16 gso_size;
	__u16 captured; /* octets in data */
	__u16 interface;
	__u8 has_tag, raw, direction;
	__u8 spare[3];
	__u8 data[SNAP];
};
