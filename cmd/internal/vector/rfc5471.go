package vector

import (
	"fmt"
	"strings"
)

// rfc5471 are those of RFC 5471 §3 in which a collector is tested. Where RFC 7011 wants another reaction
// than it did, that one is named.
var rfc5471 = []Vector{
	{Name: "3.2.3", Is: "two Data Sets, with two zeros of padding behind the first", Shows: "two records",
		messages: func(s *session) { s.ipfix(2, template256, "0100 000e c0000201 c6336401 0000", data256) }},
	{Name: "3.2.4a", Is: "a Set of 64 octets whose records are ipDiffServCodePoint and three paddingOctets", Shows: "15 records",
		messages: func(s *session) {
			s.ipfix(15, "0002 0010 0100 0002 00c3 0001 00d2 0003 0100 0040", strings.Repeat("0a 000000", 15))
		}},
	{Name: "3.2.4b", Is: "a record of 12 octets and two of paddingOctets", Shows: "one record",
		messages: func(s *session) {
			s.ipfix(1, "0002 0018 0100 0004 0008 0004 000c 0004 0001 0004 00d2 0002", "0100 0012 c0000201 c6336401 000005dc 0000")
		}},
	{Name: "3.2.4c", Is: "a string of variable length, and paddingOctets of variable length that align the record", Shows: "one record, interfaceName eth0",
		messages: func(s *session) {
			s.ipfix(1, "0002 0014 0100 0003 0008 0004 0052 ffff 00d2 ffff", "0100 0010 c0000201 04 65746830 02 0000")
		}},
	{Name: "3.2.5.2", Is: "a template that is withdrawn twice", Shows: "a line in the log (RFC 7011 §8.1, §8.4)",
		messages: func(s *session) {
			s.ipfix(1, template256, data256)
			s.ipfix(0, withdrawal256)
			s.ipfix(0, withdrawal256)
		}},
	{Name: "3.2.5.3", Is: "the withdrawal of a template that was never sent", Shows: "a line in the log (RFC 7011 §8.1)",
		messages: func(s *session) { s.ipfix(0, withdrawal256) }},
	{Name: "3.4.1", Is: "an Options Template whose scope count is 0, and data of it", Shows: "nothing (RFC 7011 §3.4.2.2)",
		messages: func(s *session) { s.ipfix(1, "0003 000e 0100 0001 0000 0008 0004", "0100 0008 c0000201") }},
	{Name: "3.4.6a", Is: "a flowKeyIndicator with more bits than its template has fields", Shows: "the bits that are too many ignored",
		messages: func(s *session) {
			s.ipfix(1, template256, flowKeys, "0101 000e 0100 0000000000000007")
		}},
	{Name: "3.4.6b", Is: "a flowKeyIndicator of a template that was never sent", Shows: "it is ignored",
		messages: func(s *session) { s.ipfix(1, flowKeys, "0101 000e 03e7 0000000000000003") }},
	{Name: "3.5.3", Is: "a template of 16370 fields, and a record of it", Shows: "one record, or a line in the log",
		messages: func(s *session) {
			const fields = 16370
			s.ipfix(0, fmt.Sprintf("0002 %04x 0100 %04x", 8+4*fields, fields), strings.Repeat("00c3 0001", fields))
			s.ipfix(1, fmt.Sprintf("0100 %04x", 4+fields), strings.Repeat("0a", fields))
		}},
	{Name: "3.5.4", Is: "1000 templates, and a record of the last", Shows: "one record",
		messages: func(s *session) {
			for i := range 10 {
				var b strings.Builder
				for k := range 100 {
					fmt.Fprintf(&b, "%04x 0002 0008 0004 000c 0004", 256+100*i+k)
				}
				s.ipfix(0, "0002 04b4", b.String())
			}
			s.ipfix(1, "04e7 000c c0000201 c6336401")
		}},
	{Name: "3.6.4a", Is: "a template of two fields in a Set of 12 octets, of a message of 32, and data", Shows: "nothing (RFC 7011 §9.1)",
		messages: func(s *session) { s.ipfix(0, "0002 000c 0100 0002 0008 0004 000c 0004"); s.ipfix(1, data256) }},
	{Name: "3.6.4b", Is: "the same in a message of 28 octets: the second field is missing", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0, "0002 000c 0100 0002 0008 0004"); s.ipfix(1, data256) }},
	{Name: "3.6.4c", Is: "the same in a message of 26 octets: the first field is cut", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0, "0002 000c 0100 0002 0008"); s.ipfix(1, data256) }},
	{Name: "3.6.4d", Is: "a template with a field count of 1 and two fields", Shows: "nothing of it, or a record of the first field",
		messages: func(s *session) { s.ipfix(0, "0002 0010 0100 0001 0008 0004 000c 0004"); s.ipfix(1, data256) }},
	{Name: "3.6.4e", Is: "that template put right, and data", Shows: "one record",
		messages: func(s *session) { s.ipfix(0, template256); s.ipfix(1, data256) }},
	{Name: "3.6.4f", Is: "an Options Template whose scope count is 0, in a message of 30 octets", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0, "0003 000e 0100 0001 0000 0008 0004") }},
	{Name: "3.6.4g", Is: "an Options Template of one field with a scope count of 2", Shows: "nothing",
		messages: func(s *session) { s.ipfix(0, "0003 000e 0100 0001 0002 0008 0004"); s.ipfix(1, "0100 0008 c0000201") }},
	{Name: "3.6.5a", Is: "a message of 15 octets", Shows: "a line in the log",
		messages: func(s *session) { s.ipfix(0); s.cut(1) }},
	{Name: "3.6.5b", Is: "a message that is shorter than its header says", Shows: "a line in the log; the message may be discarded",
		messages: func(s *session) { s.ipfix(2, template256, data256, data256); s.cut(6) }},
	{Name: "3.6.5c", Is: "an address of two octets and milliseconds of four: none may be reduced", Shows: "nothing, or a line in the log (RFC 7011 §6.2)",
		messages: func(s *session) {
			s.ipfix(1, "0002 0010 0100 0002 0008 0002 0098 0004", "0100 000a c000 00000001")
		}},
	{Name: "3.6.5d", Is: "a length of a string that goes beyond its Set", Shows: "nothing, or a line in the log",
		messages: func(s *session) {
			s.ipfix(1, "0002 0010 0100 0002 0008 0004 0052 ffff", "0100 0010 c0000201 ff ffff 65746830 00")
		}},
	{Name: "3.6.6a", Is: "data that is shorter than its template", Shows: "nothing",
		messages: func(s *session) { s.ipfix(1, template256, "0100 0008 c0000201") }},
	{Name: "3.6.6b", Is: "data that is longer than its template", Shows: "one record: what is left is shorter than another",
		messages: func(s *session) { s.ipfix(1, template256, "0100 0010 c0000201 c6336401 c0000202") }},
	{Name: "3.6.7", Is: "Sets of the reserved ids 4, 100 and 255 before one of data", Shows: "one record, and a line in the log",
		messages: func(s *session) {
			s.ipfix(1, template256, "0004 0008 00000000 0064 0008 00000000 00ff 0008 00000000", data256)
		}},
	{Name: "3.6.8a", Is: "a template that is sent twice, with data behind each", Shows: "two records",
		messages: func(s *session) { s.ipfix(1, template256, data256); s.ipfix(1, template256, data256) }},
	{Name: "3.6.8b", Is: "a template that changes under its id, with data before and behind", Shows: "two records: the new one replaces it (RFC 7011 §8.4)",
		messages: func(s *session) {
			s.ipfix(1, template256, data256)
			s.ipfix(1, "0002 000c 0100 0001 001b 0010 0100 0014 20010db8 00000000 00000000 00000001")
		}},
	{Name: "3.6.8c", Is: "data behind the withdrawal of its template", Shows: "one record, and another where the withdrawal is ignored",
		Beware:   "the decoder of goflow2 2.2.6 never returns, and takes all memory there is; nfacctd 1.7.7 makes empty records without end",
		messages: func(s *session) { s.ipfix(1, template256, data256); s.ipfix(0, withdrawal256); s.ipfix(1, data256) }},
	{Name: "3.6.8d", Is: "a template that is withdrawn and defined in another way", Shows: "two records",
		messages: func(s *session) {
			s.ipfix(1, template256, data256)
			s.ipfix(0, withdrawal256)
			s.ipfix(1, "0002 0010 0100 0002 000c 0004 0008 0004", data256)
		}},
}

const (
	withdrawal256 = "0002 0008 0100 0000"
	// flowKeys is an Options Template: templateId (scope), flowKeyIndicator (RFC 7011 §4.4).
	flowKeys = "0003 0012 0101 0002 0001 0091 0002 00ad 0008"
)
