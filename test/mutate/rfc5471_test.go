package mutate

const (
	exporting = "./export"

	vectors = "Tests a collector: `cacheflow selftest` sends it, as the vector of this section; TestTshark and TestNobodyDies of `cmd/internal/vector` show what tshark says and that collectors survive."
	noSCTP  = "Does not apply: there is no SCTP."
)

// rfc5471 are the tests of RFC 5471 §3, in its order.
var rfc5471 = []requirement{
	{
		ID: "3.1.1", Asks: "A session over each IP version and each transport comes about, and what is exported arrives",
		Mutation: Mutation{"export/stream.go", `d.DialContext(ctx, "tcp", `, `d.DialContext(ctx, "tcp4", `, exporting, "TestConnects"},
		Breaks:   "streams are of IPv4 only",
		Note:     "UDP, TCP and TLS; DTLS is 3.7.3. There is no SCTP, which RFC 7011 §10.1 makes mandatory: so no claim to conform to it in full.",
	},
	{
		ID: "3.2.1", Asks: "Each abstract data type is exported, and read as it was meant",
		Mutation: Mutation{"export/timestamps.go", "const ntpEpoch = 2_208_988_800", "const ntpEpoch = 2_208_988_801", exporting, "TestTypes"},
		Breaks:   "NTP's timestamps are a second late",
		Note:     "octetArray, unsigned8 to 64, macAddress, string, ipv4Address, ipv6Address, dateTimeMilliseconds, -Microseconds and -Nanoseconds. No element that a flow of ours has is signed, a float, a boolean, dateTimeSeconds or a list. Messages are the same over all transports.",
	},
	{
		ID: "3.2.2", Asks: "Elements of variable length, alone, before, after and among others",
		Mutation: Mutation{"export/field.go", "[]field{{tcpControlBits, 1}}", "[]field{{tcpControlBits, 0xffff}}", exporting, "TestFixedLengths"},
		Breaks:   "TCP's flags are declared to be of variable length",
		Note:     "Does not apply: no field is of variable length. Interface names and descriptions have 32 and 64 octets, as IOS XE sends them. The test holds that.",
	},
	{
		ID: "3.2.3", Asks: "Zeros pad a Data Set before the next one of a message",
		Mutation: Mutation{"export/set.go", "for len(s.buf)%4 != 0 {", "for len(s.buf)%2 != 0 {", exporting, "TestIR12"},
		Breaks:   "sets begin at even octets, not at each fourth",
	},
	{
		ID: "3.2.4", Asks: "paddingOctets in records, also of more octets than a record has",
		Mutation: Mutation{"export/field.go", "[]field{{tcpControlBits, 1}}", "[]field{{210, 1}}", exporting, "TestFixedLengths"},
		Breaks:   "paddingOctets stand in the place of TCP's flags",
		Note:     "Does not apply: no record of ours is so short that it needs them. The test holds that.",
	},
	{
		ID: "3.2.5.1", Asks: "A template is withdrawn over a reliable transport",
		Mutation: Mutation{"export/session.go", finish, `s.Flush(now); s.open(now); s.appendInSet(2, append(s.templates.all[0].record[:2:2], 0, 0), now); s.Flush(now)` + finished, exporting, "TestTemplatesStay"},
		Breaks:   "one template is withdrawn at the end",
		Note:     "Does not apply: templates last as long as their session, and what changes them (a reload) begins a new one, whose end withdraws all (RFC 7011 §8.1). The test holds that none is withdrawn.",
	},
	{ID: "3.2.5.2", Asks: "A template is withdrawn twice", Note: vectors},
	{ID: "3.2.5.3", Asks: "A template is withdrawn that was never sent", Note: vectors},
	{
		ID: "3.2.5.4", Asks: "All templates are withdrawn at once",
		Mutation: Mutation{"export/session.go", finish, `s.Flush(now); s.open(now); s.appendInSet(2, []byte{0, 2, 0, 0}, now); s.Flush(now)` + finished, exporting, "TestTemplatesStay"},
		Breaks:   "all templates are withdrawn at the end",
		Note:     "Does not apply, as 3.2.5.1.",
	},
	{
		ID: "3.2.5.5", Asks: "All options templates are withdrawn at once",
		Mutation: Mutation{"export/session.go", finish, `s.Flush(now); s.open(now); s.appendInSet(3, []byte{0, 3, 0, 0, 0, 0}, now); s.Flush(now)` + finished, exporting, "TestTemplatesStay"},
		Breaks:   "all options templates are withdrawn at the end",
		Note:     "Does not apply, as 3.2.5.1.",
	},
	{
		ID: "3.3.1", Asks: "An enterprise's elements in template and data",
		Mutation: Mutation{"export/template.go", "reversePEN = 29305", "reversePEN = 29306", exporting, "TestBiflowFieldByField"},
		Breaks:   "the reverse elements of a biflow are somebody else's",
		Note:     "The reverse elements of RFC 5103; others we have none.",
	},
	{
		ID: "3.3.2", Asks: "Integers of fewer octets than their type has",
		Mutation: Mutation{"export/field.go", "(r.Packets|r.Octets)>>32 == 0", "(r.Packets|r.Octets)>>33 == 0", exporting, "TestReducedCounters"},
		Breaks:   "a counter of 33 bits goes into four octets",
	},
	{
		ID: "3.3.3", Asks: "An element that stands more than once in a template keeps its order",
		Mutation: Mutation{"export/statistics.go", "appendTimes(b, c, u.First, u.Last)", "appendTimes(b, c, u.Last, u.First)", exporting, "TestRepeatedElement"},
		Breaks:   "the last loss of the Metering Process stands before its first",
		Note:     "One after the other, as RFC 7011 §4.2 and §4.3 have it; with others in between no template of ours has any.",
	},
	{
		ID: "3.4.1", Asks: "Options with scopes of many kinds",
		Mutation: Mutation{"export/statistics.go", "scope = field{exportingProcessID, 4}", "scope = field{observationDomainID, 4}", exporting, "TestScopes"},
		Breaks:   "what the Exporting Process lost is told of the domain",
		Note:     "Observation domain, exporting process, interface, template and selector. None is of an enterprise or outside the registry. A scope count of 0 is the vector 3.4.1 of `cacheflow selftest`.",
	},
	{
		ID: "3.4.2", Asks: "Options with several scopes keep their order",
		Mutation: Mutation{"export/options.go", "b = be.AppendUint16(b, 1)\n", "b = be.AppendUint16(b, 2)\n", exporting, "TestScopes"},
		Breaks:   "the first value is taken for a scope",
		Note:     "Does not apply: each kind of options of ours is about one thing. The test holds that.",
	},
	{
		ID: "3.4.3", Asks: "Metering Process Statistics",
		Mutation: Mutation{"export/statistics.go", "be.AppendUint64(b, s.Sent.Records)", "be.AppendUint64(b, s.Made.Records)", exporting, "TestStatistics"},
		Breaks:   "records count that were not sent",
		Note:     "Without meteringProcessId: there is one Metering Process in a domain.",
	},
	{
		ID: "3.4.4", Asks: "Metering Process Reliability Statistics",
		Mutation: Mutation{"export/statistics.go", "be.AppendUint64(b, u.Octets)", "be.AppendUint64(b, u.Packets)", exporting, "TestStatistics"},
		Breaks:   "packets are told in the place of octets",
		Note:     "Without meteringProcessId, as 3.4.3.",
	},
	{
		ID: "3.4.5", Asks: "Exporting Process Reliability Statistics",
		Mutation: Mutation{"export/statistics.go", "be.AppendUint64(b, lost.Packets)", "be.AppendUint64(b, lost.Records)", exporting, "TestStatistics"},
		Breaks:   "records are told in the place of packets",
	},
	{
		ID: "3.4.6", Asks: "The Flow Keys of each template",
		Mutation: Mutation{"export/template.go", "t.keys |= 1 << i", "t.keys |= 2 << i", exporting, "TestFlowKeys"},
		Breaks:   "each key is the field behind it",
		Note:     "Too many bits, and a template that is not there, are the vectors 3.4.6a and 3.4.6b of `cacheflow selftest`.",
	},
	{
		ID: "3.5", Asks: "A collector that does not keep up leaves the exporter stable",
		Mutation: Mutation{"export/exporter.go", "e.refuse(rs[n:])", "_ = rs[n:]", exporting, "TestSlowCollector"},
		Breaks:   "what found no room in the queue is not counted",
	},
	{ID: "3.5.1", Asks: "Very many records of one template", Note: "Tests a collector: `cacheflow generate --export-rate` sends as many as one likes."},
	{
		ID: "3.5.2", Asks: "The rate grows: over TCP the exporter is held up",
		Mutation: Mutation{"export/stream.go", "if _, err := s.Conn.Write(b); err != nil {", "s.tcp.SetWriteDeadline(time.Now().Add(time.Millisecond)); if _, err := s.Conn.Write(b); err != nil {", exporting, "TestSlowStream"},
		Breaks:   "a write that has to wait fails",
		Note:     "Flow records then wait in the exporter's queue, and what it has no room for is counted; metering is never held up.",
	},
	{
		ID: "3.5.3", Asks: "The longest template and message",
		Mutation: Mutation{"export/set.go", "return pad4(end+size) <= ", "return end+size-1 <= ", exporting, "TestMTU"},
		Breaks:   "a message is an octet longer than it may be",
		Note:     "Messages up to 65507 octets, which is what UDP takes. Our templates have 60 fields at most, not 16370: such a one is the vector 3.5.3 of `cacheflow selftest`.",
	},
	{ID: "3.5.4", Asks: "Very many templates within their lifetime", Note: vectors},
	{ID: "3.5.5", Asks: "Very many exporters to one collector", Note: "Tests a collector: `cacheflow generate --exporters 1000` is so many."},
	{
		ID: "3.5.6", Asks: "One exporter to several collectors at once, with simple and complex templates",
		Mutation: Mutation{"export/config.go", `fmt.Fprintf(h, "%s\x00%s\x00%s", c.Name, c.Protocol, c.Address)`, "_ = h", exporting, "TestCollectorsInParallel"},
		Breaks:   "all have one domain, and so one template's id for several layouts",
	},
	{
		ID: "3.6.1", Asks: "A connection is lost for a short and for a long time",
		Mutation: Mutation{"export/exporter.go", "pause := firstPause\n", "pause := firstPause; if !e.attempted.IsZero() { return nil, ErrClosed }\n", exporting, "TestCollectorRestarts"},
		Breaks:   "nobody is called again",
		Note:     "By UDP the gap shows in sequence numbers: TestTsharkSees.",
	},
	{
		ID: "3.6.2", Asks: "The exporter is killed: the next one sends templates again",
		Mutation: Mutation{"export/set.go", "s.appendTemplates(now)\n\ts.announced = true", "s.announced = true", exporting, "TestExporterKilled"},
		Breaks:   "the session begins without templates",
	},
	{
		ID: "3.6.3", Asks: "The collector is killed: the exporter connects again and sends templates again",
		Mutation: Mutation{"export/rotate.go", "s.sequence = 0", "_ = s.sequence", exporting, "TestCollectorKilled"},
		Breaks:   "the next session goes on counting from the lost one",
	},
	{ID: "3.6.4", Asks: "Template records that are cut, or whose counts are wrong; a scope count of 0", Note: vectors},
	{ID: "3.6.5", Asks: "Messages that are too short, sizes that a type cannot have, wrong variable lengths", Note: vectors},
	{ID: "3.6.6", Asks: "Data Records with too few and too many octets for their template", Note: vectors},
	{ID: "3.6.7", Asks: "Sets of reserved ids", Note: vectors},
	{ID: "3.6.8.1", Asks: "Templates that are sent again, changed and withdrawn over SCTP", Note: noSCTP},
	{
		ID: "3.6.8.2", Asks: "A template is sent again, or changed, over TCP: an exporter must not change one that was not withdrawn",
		Mutation: Mutation{"export/options.go", "+ idsPerDomain/2 - 1 - n", "+ idsPerDomain/2 - 1 - n%2", exporting, "TestTemplatesStay"},
		Breaks:   "several kinds of options have one id",
		Note:     "The wrong ones, which a collector has to bear, are the vectors 3.6.8a to 3.6.8d of `cacheflow selftest`.",
	},
	{
		ID: "3.6.8.3.1", Asks: "The same by UDP, within a template's lifetime",
		Mutation: Mutation{"export/template.go", "+ uint16(len(t.all))", "+ uint16(len(t.all)%2)", exporting, "TestTemplatesStay"},
		Breaks:   "IPv4 by way of an IPv6 gateway has the id of IPv4",
		Note:     "As 3.6.8.2.",
	},
	{ID: "3.6.8.3.2", Asks: "By UDP, after a template's lifetime, records are dropped until it comes again", Note: "Tests a collector: `cacheflow generate --templates lost` never sends it again."},
	{
		ID: "3.7.1", Asks: "Exporter, collector and authority have certificates",
		Mutation: Mutation{"cmd/internal/certificate/certificate.go", "if !roots.AppendCertsFromPEM(pem) {", "if !roots.AppendCertsFromPEM(pem) && false {", "./cmd/internal/certificate", "TestClient"},
		Breaks:   "a file without a certificate is taken for an authority",
		Note:     "DNS names in them are of 3.7.2 and 3.7.7.",
	},
	{
		ID: "3.7.2", Asks: "A session over TLS",
		Mutation: Mutation{"export/stream.go", "err == nil && c.Transport == TLS {", "err == nil && c.Transport > TLS {", exporting, "TestOpenSSLRefuses/good_TLS_1.3"},
		Breaks:   "messages go out in the clear",
		Note:     "TLS 1.2 and 1.3; the collector is `openssl s_server`.",
	},
	{
		ID: "3.7.3", Asks: "A session over DTLS and UDP",
		Mutation: Mutation{"export/udp.go", "case c.Transport == DTLS:", "case c.Transport > DTLS:", "./cmd/internal/dtls", "TestNothingInClear"},
		Breaks:   "messages go out in the clear",
		Note:     "DTLS 1.2. `openssl s_server` is the collector where somebody is refused: TestOpenSSLRefuses of the same package.",
	},
	{ID: "3.7.4", Asks: "A session over DTLS and SCTP", Note: noSCTP},
	{
		ID: "3.7.5", Asks: "The collector refuses an exporter without a certificate",
		Mutation: Mutation{"export/stream.go", "refusalTime = 250 * time.Millisecond", "refusalTime = 0", exporting, "TestOpenSSLRefuses/client_has_none_TLS_1.3"},
		Breaks:   "the exporter does not wait for the refusal, and sends",
	},
	{
		ID: "3.7.6", Asks: "The collector refuses an exporter whose identity it does not know",
		Mutation: Mutation{"export/stream.go", `fmt.Errorf("refused by the collector: %w", s.why)`, `fmt.Errorf("refused by the collector")`, exporting, "TestOpenSSLRefuses/client's_wrong_CA_TLS_1.3"},
		Breaks:   "nobody is told why the collector refused",
	},
	{
		ID: "3.7.7", Asks: "The exporter refuses a collector whose identity is not the one it wants",
		Mutation: Mutation{"export/stream.go", "conn := tls.Client(s.wire, cfg)", "cfg.InsecureSkipVerify = true; conn := tls.Client(s.wire, cfg)", exporting, "TestOpenSSLRefuses/wrong_name_TLS_1.3"},
		Breaks:   "any certificate will do",
	},
}

// The last lines of Session.Finish.
const (
	finish   = "s.Flush(now)" + finished
	finished = "\n}\n\n// next returns when"
)
