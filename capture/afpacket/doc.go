// Package afpacket captures live from network interfaces by packet sockets with
// a TPACKET_V3 ring (packet(7), Documentation/networking/packet_mmap.rst).
//
// Open gives one source for each worker. The kernel's fanout sends all packets
// of one pair of addresses and protocol to one worker, fragments too, so that
// one flow is metered in one place. Run follows interfaces that come and go.
//
// CAP_NET_RAW is enough: no interface is made promiscuous, nothing in the host
// is changed. Linux 4.12 is needed.
package afpacket
