package vector

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// ours are those that collectors have stumbled over, beyond RFC 5471.
var ours = []Vector{
	{Name: "message-empty", Is: "a message without any Set", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0) }},
	{Name: "set-zero", Is: "a Set whose length is 0, where its header alone has 4", Shows: "a line in the log",
		messages: func(s *session) { s.ipfix(0, template256, "0100 0000 c0000201 c6336401") }},
	{Name: "set-empty", Is: "a Set of data without a record", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0, template256, "0100 0004") }},
	{Name: "set-largest", Is: "the largest Set that UDP carries: 8185 records", Shows: "8185 records",
		messages: func(s *session) {
			const records = (65507 - 16 - 4) / 8
			s.ipfix(0, template256)
			s.ipfix(records, fmt.Sprintf("0100 %04x", 4+8*records), strings.Repeat("c0000201 c6336401", records))
		}},
	{Name: "template-unknown", Is: "data whose template never came", Shows: "nothing, and a line in the log",
		messages: func(s *session) { s.ipfix(1, data256) }},
	{Name: "element-unknown", Is: "an element that IANA has not assigned, before one that it has", Shows: "one record",
		messages: func(s *session) { s.ipfix(1, "0002 0010 0100 0002 7fff 0004 0008 0004", "0100 000c 00000001 c0000201") }},
	{Name: "element-enterprise", Is: "an enterprise's element, of the number for examples (RFC 5612)", Shows: "one record",
		messages: func(s *session) {
			s.ipfix(1, "0002 0014 0100 0002 8001 0004 00007ed9 0008 0004", "0100 000c 00000001 c0000201")
		}},
	{Name: "variable-empty", Is: "a string of variable length without an octet", Shows: "one record",
		messages: func(s *session) { s.ipfix(1, "0002 0010 0100 0002 0052 ffff 0008 0004", "0100 0009 00 c0000201") }},
	{Name: "variable-long", Is: "a string of 300 octets, whose length takes three", Shows: "one record",
		messages: func(s *session) {
			s.ipfix(1, "0002 0010 0100 0002 0052 ffff 0008 0004", "0100 0137 ff 012c", strings.Repeat("61", 300), "c0000201")
		}},
	{Name: "variable-long-form", Is: "a string of four octets whose length takes three all the same", Shows: "one record",
		messages: func(s *session) {
			s.ipfix(1, "0002 0010 0100 0002 0052 ffff 0008 0004", "0100 000f ff 0004 65746830 c0000201")
		}},
	{Name: "padding-seven", Is: "seven zeros behind a record of eight octets", Shows: "one record",
		messages: func(s *session) { s.ipfix(1, template256, "0100 0013 c0000201 c6336401 00000000000000") }},
	{Name: "scope-two", Is: "options with two scopes, the observation domain and an interface", Shows: "one record of options",
		messages: func(s *session) {
			s.ipfix(1, "0003 0016 0100 0003 0002 0095 0004 000a 0004 0052 0004", fmt.Sprintf("0100 0010 %08x 00000001 65746830", s.domain))
		}},
	{Name: "scope-enterprise", Is: "options whose scope is an enterprise's element", Shows: "one record of options, or none",
		messages: func(s *session) {
			s.ipfix(1, "0003 0016 0100 0002 0001 8001 0004 00007ed9 0052 0004", "0100 000c 00000001 65746830")
		}},
	{Name: "counters-largest", Is: "a flow of 2^64-1 packets and octets", Shows: "one record with these",
		messages: func(s *session) {
			s.ipfix(1, flowTemplate, s.flow(4096, math.MaxUint64, math.MaxUint64, -time.Second, 0))
		}},
	{Name: "counters-largest-v5", Is: "NetFlow v5: a flow of 2^32-1 packets and octets", Shows: "one record with these",
		messages: func(s *session) {
			s.netflow5(3_600_000, flow5(math.MaxUint32, math.MaxUint32, 3_599_000, 3_600_000))
		}},
	{Name: "end-before-start", Is: "a flow that ends a second before it starts", Shows: "one record",
		messages: func(s *session) { s.ipfix(1, flowTemplate, s.flow(4096, 1, 40, 0, -time.Second)) }},
	{Name: "uptime-wrap", Is: "NetFlow v9: a flow that starts 1 s before sysUpTime wraps, in a packet 1 s behind that", Shows: "one record that lasts 1.5 s",
		messages: func(s *session) { s.netflow9(1000, 2, template9, flow9(math.MaxUint32-999, 500)) }},
	{Name: "uptime-wrap-v5", Is: "the same in NetFlow v5", Shows: "one record that lasts 1.5 s",
		messages: func(s *session) { s.netflow5(1000, flow5(1, 1500, math.MaxUint32-999, 500)) }},
	{Name: "flow-after-header", Is: "NetFlow v9: a flow that ends 1 s after its packet's sysUpTime", Shows: "one record",
		messages: func(s *session) { s.netflow9(3_600_000, 2, template9, flow9(3_599_000, 3_601_000)) }},
	{Name: "clock-back", Is: "a message whose export time is an hour before the one before", Shows: "two records",
		messages: func(s *session) {
			s.ipfix(1, template256, data256)
			s.at = s.at.Add(-time.Hour)
			s.ipfix(1, template256, data256)
			s.at = s.at.Add(time.Hour)
		}},
	{Name: "clock-ahead", Is: "a message whose export time is a day ahead", Shows: "one record",
		messages: func(s *session) {
			s.at = s.at.Add(24 * time.Hour)
			s.ipfix(1, template256, data256)
			s.at = s.at.Add(-24 * time.Hour)
		}},
	{Name: "padding-not-zero", Is: "three octets of padding that are not zero (RFC 7011 §3.3.1 wants zeros)", Shows: "one record, or nothing",
		messages: func(s *session) { s.ipfix(1, template256, "0100 000f c0000201 c6336401 010203") }},
	{Name: "padding-none", Is: "a Set that ends at no multiple of four, and one behind it", Shows: "two records",
		messages: func(s *session) {
			s.ipfix(2, "0002 0010 0101 0002 0008 0004 0004 0001", "0101 0009 c0000201 06", "0101 0009 c0000202 06")
		}},
	{Name: "variable-several", Is: "strings of variable length before, between and behind fixed elements", Shows: "one record",
		messages: func(s *session) {
			s.ipfix(1, "0002 001c 0100 0005 0052 ffff 0008 0004 0053 ffff 000c 0004 0052 ffff", "0100 0014 01 61 c0000201 02 6263 c6336401 01 64 00")
		}},
	{Name: "scope-empty-v9", Is: "NetFlow v9: options whose scope System has no octets, as an SRX sends them", Shows: "one record of options",
		messages: func(s *session) {
			s.netflow9(3_600_000, 2, "0001 0018 0102 0004 0008 0001 0000 0023 0001 0022 0004 0000", "0102 000c 02 00000064 000000")
		}},
}
