// Package export is the Exporting Process (RFC 7011 §2): it encodes Flow
// Records as NetFlow v5, NetFlow v9 or IPFIX and sends them to a collector.
//
// An [Exporter] serves one collector: a bounded queue, a [Session] that builds
// the messages, a pacer, bursts and a UDP socket. A Session alone does no I/O and reads
// no clock: it is the whole of the wire formats.
package export
