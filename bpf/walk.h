/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* The walk over the headers of a frame: what capture.Decoder does in Go, as far
 * as it is common. Its verdict READ promises that the decoder would say the same;
 * for all else it says HAND, and the decoder is asked. */

#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "helpers.h"
#include "abi.h"

/* What a frame turned out to be. */
enum verdict {
	READ,	/* an IP packet, of which the entry tells all */
	NOT_IP, /* by its type */
	HAND,	/* user space is to look */
};

/* Bounds of the walk; what goes beyond them is handed over. */
#define MAX_TAGS 2 /* in the data; one more may be in the metadata */
#define MAX_LABELS 4
#define MAX_EXTENSIONS 6

#define ETH_P_QINQ 0x9100 /* service tag before 802.1ad */
#define IPPROTO_FRAGMENT_ 44
#define IPPROTO_MOBILITY 135
#define TCP_LENGTH 20
#define UDP_LENGTH 8

enum { FIN = be16(0x01), SYN = be16(0x02), RST = be16(0x04) };

/* A walk over the headers of a frame. at moves on; all that lies before it has
 * been checked against end. */
struct walk {
	struct __sk_buff *skb;
	const void *data, *at, *end;
};

static inline_always int has(const struct walk *w, __u32 octets)
{
	return w->at + octets <= w->end;
}

/* What is left of the frame on the wire from at on. */
static inline_always __u32 room(const struct walk *w)
{
	return w->skb->len - (__u32)(w->at - w->data);
}

/* Words of an entry, made of parts that lie one behind the other in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline_always __u64 first_half(__u32 x) { return x; }
static inline_always __u64 second_half(__u32 x) { return (__u64)x << 32; }
static inline_always __u64 dst_port(__u16 port) { return (__u64)port << 16; }
static inline_always __u32 kind_of(__u8 protocol, __u8 tos, __u8 version) { return protocol | (__u32)tos << 8 | (__u32)version << 16; }
static inline_always __u32 direction_of(__u8 direction) { return (__u32)direction << 24; }
#else
static inline_always __u64 first_half(__u32 x) { return (__u64)x << 32; }
static inline_always __u64 second_half(__u32 x) { return x; }
static inline_always __u64 dst_port(__u16 port) { return (__u64)port << 32; }
static inline_always __u32 kind_of(__u8 protocol, __u8 tos, __u8 version) { return (__u32)protocol << 24 | (__u32)tos << 16 | (__u32)version << 8; }
static inline_always __u32 direction_of(__u8 direction) { return direction; }
#endif

/* The ports in front of a transport header. */
static inline_always __u64 ports_at(const void *l4) { return first_half(u32_at(l4, 0)); }

/* Versions are 4 and 6, which one bit tells apart. */
static inline_always int is_ipv6(const struct entry *p) { return (p->kind & kind_of(0, 0, 2)) != 0; }

static inline_always void count_one(struct flow *p, __u32 length)
{
	p->entry.packets = 1;
	p->entry.octets = length;
	p->entry.min_length = p->entry.max_length = length;
	p->details.merged = 0;
}

/* A super-packet counts as the packets that go over the wire: each has size
 * octets of payload, the last one the rest, and each the headers again. */
static inline_always void count_segments(struct flow *p, __u32 length, __u32 headers, __u32 size)
{
	__s32 payload = length - headers;
	__u32 n;

	if (payload <= (__s32)size) {
		count_one(p, length);
		return;
	}
	n = ((__u32)payload + size - 1) / size;
	p->entry.packets = n;
	p->details.merged = n - 1;
	p->entry.octets = length + (__u64)(n - 1) * headers;
	p->entry.min_length = headers + payload - (n - 1) * size;
	p->entry.max_length = headers + size;
}

static inline_always int is_udp_tunnel(__u16 port)
{
	return port == 4789 || port == 8472 || port == 6081; /* vxlan, Linux's old vxlan, geneve */
}

/* transport reads what follows the IP headers, which are l3 of the length octets
 * of the packet. */
static inline_always enum verdict transport(struct walk *w, struct flow *p, __u8 version, __u8 protocol, __u32 l3, __u32 length)
{
	__u32 header = 0, size = w->skb->gso_size;

	p->entry.tcp_flags = 0;
	switch (protocol) {
	case IPPROTO_TCP:
		if (!has(w, 14) || l3 + 14 > length)
			return HAND;
		p->entry.ports |= ports_at(w->at);
		p->entry.tcp_flags = u16_at(w->at, 12) & be16(0x0fff); /* RFC 7125 §3 */
		if (size) {
			header = (u8_at(w->at, 12) >> 4) * 4;
			if (header < TCP_LENGTH)
				header = TCP_LENGTH;
		}
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		if (!has(w, 4) || l3 + 4 > length)
			return HAND;
		p->entry.ports |= ports_at(w->at);
		if (protocol == IPPROTO_UDP && !is_udp_tunnel(be16(u16_at(w->at, 2))))
			header = UDP_LENGTH;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (version != (protocol == IPPROTO_ICMP ? 4 : 6))
			break;
		if (!has(w, 2) || l3 + 2 > length)
			return HAND;
		p->entry.ports |= dst_port(u16_at(w->at, 0)); /* type and code */
		break;
	}
	if (!size) {
		count_one(p, length);
		return READ;
	}
	if (!header)
		return HAND; /* a super-packet in a tunnel repeats the inner headers as well */
	count_segments(p, length, l3 + header, size);
	return READ;
}

/* RFC 791 §3.1 */
static inline_always enum verdict ipv4(struct walk *w, struct flow *p)
{
	const void *ip = w->at;
	__u32 header, length, left = room(w);

	if (!has(w, 20) || u8_at(ip, 0) >> 4 != 4)
		return HAND;
	header = (u8_at(ip, 0) & 0x0f) * 4;
	length = be16(u16_at(ip, 2));
	if (!length)
		length = left; /* a super-packet above 65 535 octets */
	if (header < 20 || header > length || length > left)
		return HAND;
	if (u16_at(ip, 6) & be16(0x3fff))
		return HAND; /* a fragment */
	p->entry.src = first_half(u32_at(ip, 12));
	p->entry.dst = first_half(u32_at(ip, 16));
	p->entry.kind |= kind_of(u8_at(ip, 9), u8_at(ip, 1), 4);
	p->entry.min_ttl = p->entry.max_ttl = u8_at(ip, 8);
	p->details.flow_label = 0;
	w->at += header;
	return transport(w, p, 4, u8_at(ip, 9), header, length);
}

static inline_always int is_extension(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
	case IPPROTO_MOBILITY:
	case IPPROTO_FRAGMENT_:
		return 1;
	}
	return 0;
}

/* extensions walks the headers behind an IPv6 header (RFC 8200 §4), whose next
 * header is next. at is where they begin in the frame and end where the packet
 * does. It returns where they end, times 256, plus the protocol, or −1 where user
 * space is to look. It is a function of its own that the verifier looks at once. */
__attribute__((noinline)) int extensions(struct __sk_buff *skb, __u32 at, __u32 end, __u8 next)
{
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		const void *h = (void *)(long)skb->data + (at & (SNAP - 1));
		__u32 size;

		if (!is_extension(next))
			return at << 8 | next;
		if (at + 8 > end || h + 8 > (void *)(long)skb->data_end)
			return -1;
		size = (u8_at(h, 1) + 1) * 8;
		if (next == IPPROTO_AH)
			size = (u8_at(h, 1) + 2) * 4; /* RFC 4302 §2.2 */
		if (next == IPPROTO_MOBILITY && u8_at(h, 0) == IPPROTO_NONE)
			return at << 8 | next; /* it carries no payload: it is the protocol (RFC 6275 §6.1.1) */
		if (next == IPPROTO_FRAGMENT_) {
			if (u16_at(h, 2) & be16(0xfff9))
				return -1; /* not an atomic one (RFC 6946) */
			size = 8;
		}
		next = u8_at(h, 0);
		at += size;
		/* User space sees SNAP octets: what it could not read, we do not either. */
		if (at > SNAP - 16)
			return -1;
	}
	return -1;
}

/* RFC 8200 §3 */
static inline_always enum verdict ipv6(struct walk *w, struct flow *p)
{
	const void *ip = w->at;
	__u32 word, length, left = room(w), at = ip - w->data + 40;
	__u8 protocol;
	int found;

	if (!has(w, 40) || u8_at(ip, 0) >> 4 != 6)
		return HAND;
	length = 40 + be16(u16_at(ip, 4));
	if (length == 40 && u8_at(ip, 6) != IPPROTO_NONE)
		length = left; /* a jumbogram (RFC 2675 §3), or a super-packet above 65 535 octets */
	if (length > left)
		return HAND;
	word = be32(u32_at(ip, 0));
	p->details.flow_label = word & 0xfffff;
	p->entry.min_ttl = p->entry.max_ttl = u8_at(ip, 7);
	p->entry.src = u64_at(ip, 8);
	p->details.src_rest = u64_at(ip, 16);
	p->entry.dst = u64_at(ip, 24);
	p->details.dst_rest = u64_at(ip, 32);
	protocol = u8_at(ip, 6);
	if (!is_extension(protocol)) {
		w->at += 40;
		p->entry.kind |= kind_of(protocol, word >> 20, 6);
		return transport(w, p, 6, protocol, 40, length);
	}
	found = extensions(w->skb, at, at - 40 + length, protocol);
	if (found < 0)
		return HAND;
	protocol = found;
	p->entry.kind |= kind_of(protocol, word >> 20, 6);
	w->at = w->data + mask((__u32)found >> 8, SNAP - 1);
	return transport(w, p, 6, protocol, ((__u32)found >> 8) - at + 40, length);
}

/* What lies behind the link header. */
enum payload {
	IPV4,
	IPV6,
	BY_NIBBLE, /* IP, the first nibble tells which */
	NO_IP,
	UNSURE, /* user space is to look */
};

/* mpls moves on behind a label stack (RFC 3032 §2.1). */
static inline_always enum payload mpls(struct walk *w, struct tags *t)
{
	for (int i = 0; i < MAX_LABELS; i++) {
		__u8 bottom;

		if (!has(w, 4))
			return UNSURE;
		if (i < 3) {
			t->mpls[i][0] = u8_at(w->at, 0);
			t->mpls[i][1] = u8_at(w->at, 1);
			t->mpls[i][2] = u8_at(w->at, 2);
		}
		t->mpls_depth = i + 1;
		bottom = u8_at(w->at, 2) & 0x01;
		w->at += 4;
		if (bottom)
			return BY_NIBBLE;
	}
	return UNSURE;
}

/* pppoe moves on behind the headers of a session packet (RFC 2516 §4). */
static inline_always enum payload pppoe(struct walk *w)
{
	__u16 protocol;

	if (!has(w, 8) || u16_at(w->at, 0) != be16(0x1100))
		return UNSURE;
	protocol = u16_at(w->at, 6);
	w->at += 8;
	if (protocol == be16(0x0021))
		return IPV4;
	return protocol == be16(0x0057) ? IPV6 : UNSURE;
}

static inline_always int is_tag(__u16 type)
{
	return type == be16(ETH_P_8021Q) || type == be16(ETH_P_8021AD) || type == be16(ETH_P_QINQ);
}

/* tagged moves on behind tags and labels; type is what follows the link header. It
 * is a function of its own to keep what is rare out of the way of what is not. */
static __attribute__((noinline)) enum payload tagged(struct walk *w, struct tags *t, __u16 type)
{
	int tags = 0;

	if (w->skb->vlan_present) {
		t->vlan = w->skb->vlan_tci;
		tags = 1;
	}
	for (int i = 0; i < MAX_TAGS && is_tag(type); i++) {
		if (!has(w, 4))
			return UNSURE;
		if (tags == 0)
			t->vlan = be16(u16_at(w->at, 0));
		else if (tags == 1)
			t->customer_vlan = be16(u16_at(w->at, 0));
		tags++;
		type = u16_at(w->at, 2);
		w->at += 4;
	}
	switch (type) {
	case be16(ETH_P_IP):
		return IPV4;
	case be16(ETH_P_IPV6):
		return IPV6;
	case be16(ETH_P_MPLS_UC):
	case be16(ETH_P_MPLS_MC):
		return mpls(w, t);
	case be16(ETH_P_PPP_SES):
		return pppoe(w);
	}
	/* More tags; or 802.2, behind which IP may follow. */
	return is_tag(type) || be16(type) < ETH_P_802_3_MIN ? UNSURE : NO_IP;
}

/* ethernet moves on behind the link header, tags and labels. The MAC addresses are
 * left to fill_link: only an entry that is made needs them. */
static inline_always enum payload ethernet(struct walk *w, struct tags *t)
{
	struct walk behind;
	enum payload payload;
	__u16 type;

	if (!has(w, ETH_HLEN))
		return UNSURE;
	type = u16_at(w->at, 12);
	w->at += ETH_HLEN;
	if (!w->skb->vlan_present) {
		if (type == be16(ETH_P_IP))
			return IPV4;
		if (type == be16(ETH_P_IPV6))
			return IPV6;
	}
	behind = *w; /* so that w stays in registers */
	payload = tagged(&behind, t, type);
	w->at = behind.at;
	return payload;
}

static inline_always enum payload no_header(const struct walk *w)
{
	__u16 type = w->skb->protocol;

	return type == be16(ETH_P_IP) || type == be16(ETH_P_IPV6) || type == be16(ETH_P_ALL) || !type ? BY_NIBBLE : NO_IP;
}

/* plain reads what most frames are: Ethernet without tags, IPv4 without options, a whole
 * TCP segment or UDP datagram, no super-packet. Every offset is a constant. It says
 * nothing of other frames, which are left to the walk. */
static inline_always int plain(struct __sk_buff *skb, struct flow *p)
{
	const void *frame = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const void *ip = frame + ETH_HLEN, *l4 = ip + 20;
	__u32 length;
	__u8 protocol;

	if (l4 + 14 > end || u16_at(frame, 12) != be16(ETH_P_IP) || u8_at(ip, 0) != 0x45 || u16_at(ip, 6) & be16(0x3fff))
		return 0;
	protocol = u8_at(ip, 9);
	length = be16(u16_at(ip, 2));
	if (length < 20 + 14 || length > skb->len - ETH_HLEN || skb->vlan_present || skb->gso_size)
		return 0;
	p->entry.tcp_flags = 0;
	if (protocol == IPPROTO_TCP)
		p->entry.tcp_flags = u16_at(l4, 12) & be16(0x0fff); /* RFC 7125 §3 */
	else if (protocol != IPPROTO_UDP)
		return 0;
	p->entry.ports |= ports_at(l4);
	p->entry.kind |= kind_of(protocol, u8_at(ip, 1), 4);
	p->entry.src = first_half(u32_at(ip, 12));
	p->entry.dst = first_half(u32_at(ip, 16));
	p->entry.min_ttl = p->entry.max_ttl = u8_at(ip, 8);
	p->details.flow_label = 0;
	count_one(p, length);
	return 1;
}

/* read_frame fills in *t, and of *p what complete does not. Of the key, the input
 * interface and the direction are there already, and all else is 0. */
static inline_always enum verdict read_frame(struct __sk_buff *skb, const struct device *d, struct flow *p, struct tags *t)
{
	struct walk w = {
		.skb = skb,
		.data = (void *)(long)skb->data,
		.at = (void *)(long)skb->data,
		.end = (void *)(long)skb->data_end,
	};
	enum payload payload;

	if (likely(!(d->flags & DEVICE_RAW) && plain(skb, p)))
		return READ;
	payload = d->flags & DEVICE_RAW ? no_header(&w) : ethernet(&w, t);
	if (payload == BY_NIBBLE) {
		if (!has(&w, 1))
			return HAND;
		payload = u8_at(w.at, 0) >> 4 == 4 ? IPV4 : IPV6; /* which looks at the nibble again */
	}
	switch (payload) {
	case IPV4:
		return ipv4(&w, p);
	case IPV6:
		return ipv6(&w, p);
	case NO_IP:
		return NOT_IP;
	default:
		return HAND;
	}
}

/* fill_link fills in what only an entry that is made needs. */
static inline_always void fill_link(struct __sk_buff *skb, const struct device *d, const struct tags *t, struct flow *p)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	p->details.tags = *t;
	__builtin_memset(p->details.dst_mac, 0, 12);
	if (!(d->flags & DEVICE_RAW) && data + ETH_HLEN <= end)
		__builtin_memcpy(p->details.dst_mac, data, 12); /* and src_mac behind it */
	p->details.interface = d->interface;
	p->details.generation = p->details.before = 0;
}
