// Package pcapfile is a capture.Source that reads capture files: pcap and
// pcapng, plain or compressed with gzip, one or several after another.
//
// The file is the Observation Point: each of its packets is metered once, as
// arriving, whatever direction it is marked with. Its stamps are the timeline,
// so that the same file gives the same observations on any machine at any time.
//
// What a sampler leaves out moves the time on all the same.
//
// A super-packet of segmentation offload counts as the one packet that the file
// holds: neither format tells into how many segments it was cut.
//
// The readers are our own, because files come from anywhere: they take memory
// for one packet of at most maxPacket octets and for maxInterfaces interfaces,
// whatever lengths a file claims.
package pcapfile
