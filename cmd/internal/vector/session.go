package vector

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// sourceID is what a Source ID is more than an Observation Domain.
const sourceID = 1000

var be = binary.BigEndian

// session is the messages of one Observation Domain. Sets are written in hexadecimal.
type session struct {
	at       time.Time // of export
	domain   uint32
	sequence uint32 // of IPFIX
	all      [][]byte
}

// octets reads hexadecimal digits with spaces between them. That all can be read, a test sees.
func octets(text ...string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(text, "")), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// ipfix adds a message of sets (RFC 7011 §3.1) with so many Data Records.
func (s *session) ipfix(records int, sets ...string) {
	body := octets(sets...)
	b := be.AppendUint16(nil, 10)
	b = be.AppendUint16(b, uint16(16+len(body)))
	b = be.AppendUint32(b, uint32(s.at.Unix()))
	b = be.AppendUint32(b, s.sequence)
	b = be.AppendUint32(b, s.domain)
	s.sequence += uint32(records)
	s.all = append(s.all, append(b, body...))
}

// netflow9 adds a packet of FlowSets (RFC 3954 §5.1) with so many records, templates among them.
// It has the first sequence number, and a Source ID that is no Observation Domain: some have one
// count for both.
func (s *session) netflow9(uptime uint32, records int, sets ...string) {
	b := be.AppendUint16(nil, 9)
	b = be.AppendUint16(b, uint16(records))
	b = be.AppendUint32(b, uptime)
	b = be.AppendUint32(b, uint32(s.at.Unix()))
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, sourceID+s.domain)
	s.all = append(s.all, append(b, octets(sets...)...))
}

// netflow5 adds a datagram with one record, of an engine whose id is the vector's number.
func (s *session) netflow5(uptime uint32, record string) {
	b := be.AppendUint32(octets("0005 0001"), uptime)
	b = be.AppendUint32(b, uint32(s.at.Unix()))
	b = append(b, make([]byte, 8)...)                  // nanoseconds, sequence
	b = append(b, 0, byte(s.domain-firstDomain), 0, 0) // engine type and id, sampling
	s.all = append(s.all, append(b, octets(record)...))
}

// cut removes octets from the end of the last message, whose header stays as it is.
func (s *session) cut(n int) {
	last := &s.all[len(s.all)-1]
	*last = (*last)[:len(*last)-n]
}

// Templates and records of one flow each.
const (
	// 256 has sourceIPv4Address and destinationIPv4Address.
	template256 = "0002 0010 0100 0002 0008 0004 000c 0004 "
	data256     = "0100 000c c0000201 c6336401 "
	// 0xf000 has addresses, ports, protocol, 64-bit octets and packets, flowStart- and flowEndMilliseconds.
	flowTemplate = "0002 002c f000 0009 0008 0004 000c 0004 0007 0002 000b 0002 0004 0001 0001 0008 0002 0008 0098 0008 0099 0008 "
	// 0x401 has addresses, 32-bit octets and packets, FIRST_SWITCHED and LAST_SWITCHED (RFC 3954 §8).
	template9 = "0000 0020 0401 0006 0008 0004 000c 0004 0001 0004 0002 0004 0016 0004 0015 0004 "
)

// flow is a set of a record of flowTemplate; start and end are relative to the export.
func (s *session) flow(port uint16, packets, count uint64, start, end time.Duration) string {
	return fmt.Sprintf("f000 0034 c0000201 c6336401 %04x 01bb 06 %016x %016x %016x %016x 000000 ", port, count, packets,
		uint64(s.at.Add(start).UnixMilli()), uint64(s.at.Add(end).UnixMilli()))
}

// flow9 is a FlowSet of a record of template9, times by sysUpTime.
func flow9(first, last uint32) string {
	return fmt.Sprintf("0401 001c c0000201 c6336401 000005dc 00000001 %08x %08x ", first, last)
}

// flow5 is a record of NetFlow v5.
func flow5(packets, count, first, last uint32) string {
	return fmt.Sprintf("c0000201 c6336401 00000000 0001 0002 %08x %08x %08x %08x 1000 01bb 00 10 06 00 0000 0000 18 18 0000", packets, count, first, last)
}
