package mutate

// interop are the interoperability rules.
var interop = []requirement{
	{
		ID: "IR-1", Asks: "NetFlow v5's sequence number is that of the flows before this datagram",
		Mutation: Mutation{"export/netflow5.go", "s.sequence += uint32(s.msg.DataRecords)", "s.sequence++", exporting, "TestIR1"},
		Breaks:   "datagrams are counted",
	},
	{
		ID: "IR-2", Asks: "NetFlow v9's counts packets",
		Mutation: Mutation{"export/netflow9.go", "s.sequence++", "s.sequence += uint32(s.msg.DataRecords)", exporting, "TestIR2"},
		Breaks:   "records are counted",
	},
	{
		ID: "IR-3", Asks: "IPFIX's counts Data Records, those of options too, and no template",
		Mutation: Mutation{"export/set.go", "s.msg.DataRecords++", "", exporting, "TestIR3"},
		Breaks:   "records of options are not counted",
	},
	{
		ID: "IR-4", Asks: "NetFlow v9's header counts all records, templates too: some collectors stop there",
		Mutation: Mutation{"export/netflow9.go", "s.msg.Templates+s.msg.DataRecords", "s.msg.DataRecords", exporting, "TestIR4"},
		Breaks:   "templates are not counted",
	},
	{
		ID: "IR-5", Asks: "No flow ends after the header's sysUpTime: nfdump would subtract below 0",
		Mutation: Mutation{"export/session.go", "now = max(now, s.last)", "_ = s.last", exporting, "TestIR5"},
		Breaks:   "the header has the present, however late a flow ends",
	},
	{
		ID: "IR-6", Asks: "One options template in a set, and one sampler in a set: nfdump reads the first",
		Mutation: Mutation{"export/set.go", "s.closeSet() // one Options Template Record a set: nfdump reads only the first\n", "", exporting, "TestIR6"},
		Breaks:   "options templates share a set",
	},
	{
		ID: "IR-7", Asks: "A sampler is announced with its algorithm, in NetFlow v9 with the scope System",
		Mutation: Mutation{"export/options.go", "const scopeSystem = 1", "const scopeSystem = 2", exporting, "TestIR7"},
		Breaks:   "the scope is an interface",
		Note:     "The form `interval`, for an old nfdump, has to be asked for.",
	},
	{
		ID: "IR-8", Asks: "A sampling interval has four octets: goflow2 fails otherwise",
		Mutation: Mutation{"export/sampler.go", "field{samplingInterval, 4}, field{samplingAlgorithm, 1}", "field{samplingInterval, 3}, field{samplingAlgorithm, 2}", exporting, "TestIR8"},
		Breaks:   "it has three",
	},
	{
		ID: "IR-9", Asks: "IPFIX's times are milliseconds by default, which all collectors read",
		Mutation: Mutation{"export/fields.go", "return TimestampsMilliseconds", "return TimestampsMicroseconds", exporting, "TestIR9"},
		Breaks:   "they are microseconds",
	},
	{
		ID: "IR-10", Asks: "ICMP's type and code stand in the destination port and in their own element; the source port is 0",
		Mutation: Mutation{"export/field.go", "return r.DstPort\n", "return r.DstPort >> 8\n", exporting, "TestIR10"},
		Breaks:   "the element has the type alone",
	},
	{
		ID: "IR-11", Asks: "A template has a field of fixed length, and records of more than four octets: less is taken for padding",
		Mutation: Mutation{"export/template.go", "fields = append(fields, g.fields...)", "fields = append(fields[:0], g.fields...)", exporting, "TestIR11"},
		Breaks:   "templates describe the last octet of their records",
	},
	{
		ID: "IR-12", Asks: "Padding is of zeros, at most three, and shorter than a record",
		Mutation: Mutation{"export/set.go", "s.buf = append(s.buf, 0)\n", "s.buf = append(s.buf, 1)\n", exporting, "TestIR12"},
		Breaks:   "it is of ones",
	},
	{
		ID: "IR-13", Asks: "Template ids differ between the domains of one address: some collectors look no further",
		Mutation: Mutation{"export/template.go", "base += idsPerDomain / 2", "base += 0", exporting, "TestIR13"},
		Breaks:   "NetFlow v9 and IPFIX share ids",
		Note:     "There are 65280 ids: two domains share theirs with a chance of 1 in 1020.",
	},
	{
		ID: "IR-14", Asks: "Datagrams to one collector have one source port as long as the process lives",
		Mutation: Mutation{"export/sender.go", "s.e.stats.Refusals++", "s.e.stats.Refusals++; s.sock, _ = s.e.dial(s.ctx, s.e.cfg.Address, netip.AddrPort{})", exporting, "TestIR14"},
		Breaks:   "a collector that refuses gets another one",
	},
	{
		ID: "IR-15", Asks: "No template is withdrawn by UDP",
		Mutation: Mutation{"export/set.go", "s.announced = true\n", "s.announced = true; s.appendInSet(s.format.templateSet, []byte{1, 0, 0, 0}, now)\n", exporting, "TestIR15"},
		Breaks:   "one is, beside the others",
	},
	{
		ID: "IR-16", Asks: "Templates come before their data, with the first of it, and again by packets and by time",
		Mutation: Mutation{"export/set.go", "s.packets >= s.cfg.TemplatePackets", "s.packets > s.cfg.TemplatePackets", exporting, "TestIR16"},
		Breaks:   "they come again a packet late",
	},
	{
		ID: "IR-17", Asks: "NetFlow v5's sampling word is there from the first datagram on, and never changes: nfcapd reads it once",
		Mutation: Mutation{"export/netflow5.go", "be.PutUint16(h[22:], s.cfg.Sampling.word())", "if s.sequence > 0 { be.PutUint16(h[22:], s.cfg.Sampling.word()) }", exporting, "TestIR17"},
		Breaks:   "the first datagram has none",
	},
}
