package export

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/cache/flow"
)

// What RFC 5471 asks of an exporter and no other test here does. test/CONFORMANCE.md says
// which test holds which of its sections.

// streamCollectorAt is a stream collector at an address of choice.
func streamCollectorAt(t *testing.T, cfg *Config, host string) *streamCollector {
	t.Helper()
	secured, server := secured(t, cfg.Transport)
	cfg.Identity = secured.Identity
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	c := &streamCollector{t: t, address: l.Addr().String(), secure: server, read: readAll, conn: make(chan net.Conn, 100)}
	c.serve(l)
	cfg.Address = c.address
	return c
}

// TestConnects (RFC 5471 §3.1.1): over each IP version and each transport a session comes
// about, and all that is exported arrives.
func TestConnects(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, transport := range []Transport{UDP, TCP, TLS} {
			t.Run(fmt.Sprint(host, transport), func(t *testing.T) {
				t.Parallel()
				cfg := Config{Protocol: IPFIX, Transport: transport, SourceID: 7}
				if transport == UDP {
					conn, c := listen(t, net.JoinHostPort(host, "0")), newCollector(t)
					cfg.Address = conn.LocalAddr().String()
					startExporter(t, cfg).Put(records(100))
					from := c.receiveFrom(conn, 100)
					if m := &c.messages[0]; m.version != 10 || m.domain != 7 || from.Addr().String() != host {
						t.Errorf("version %d, domain %d from %v", m.version, m.domain, from)
					}
					return
				}
				c := streamCollectorAt(t, &cfg, host)
				e := startExporter(t, cfg)
				e.Put(records(100))
				if err := e.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				await(t, "accepted", func() bool { return c.count().Records > 0 })
				c.stop()
				if c.count() != sum(records(100)) || c.sessions != 1 {
					t.Errorf("received %+v in %d sessions", c.count(), c.sessions)
				}
			})
		}
	}
}

// everyType are what tshark reads of an element of each type that this package has, in a
// session that has one.
var everyType = map[Type]struct{ field, want string }{
	OctetArray:           {"cflow.mpls_label", "74565"},
	Unsigned8:            {"cflow.ttl_min", "57"},
	Unsigned16:           {"cflow.srcport", "40000"},
	Unsigned32:           {"cflow.outputint", "70000"},
	Unsigned64:           {"cflow.octets", "987654"},
	MACAddress:           {"cflow.srcmac", "02:00:00:00:00:01"},
	String:               {"cflow.if_name", "eth0"},
	IPv4Address:          {"cflow.srcaddr", "192.0.2.1"},
	IPv6Address:          {"cflow.dstaddrv6", "2001:db8::2"},
	DateTimeMilliseconds: {"cflow.abstimeend", "Nov 14, 2023 23:13:32.345000000 UTC"},
	DateTimeMicroseconds: {"cflow.abstimeend", "Nov 14, 2023 23:13:32.345678329 UTC"}, // to 2^-21 s, rounded up
	DateTimeNanoseconds:  {"cflow.abstimeend", "Nov 14, 2023 23:13:32.345678901 UTC"},
}

// TestTypes (RFC 5471 §3.2.1): each abstract data type is exported, and tshark reads its
// value. What types there are, goflow2 finds in the templates.
func TestTypes(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	w, c := newPcap(t), newCollector(t)
	for i, form := range []Timestamps{TimestampsMilliseconds, TimestampsMicroseconds, TimestampsNanoseconds} {
		s, err := NewSession(Config{
			Protocol: IPFIX, SourceID: uint32(i + 1), Fields: Fields{Timestamps: form},
			InterfaceTable: someInterfaces, Epoch: func() time.Time { return testEpoch },
		}, func(m *Message) { w.add(m); c.receive(m.Data) })
		if err != nil {
			t.Fatal(err)
		}
		feed(s, 3)
	}
	seen := map[Type]bool{}
	for _, fields := range c.definitions() {
		for _, f := range slices.Concat(fields...) {
			e, ok := ElementByID(f.Type)
			if !ok {
				t.Errorf("element %d has no type", f.Type)
			}
			seen[e.Type] = true
		}
	}
	for _, e := range elements {
		if k := everyType[e.Type]; !seen[e.Type] || k.want == "" {
			t.Errorf("%s: type %d is not exported here, or nobody knows how tshark reads it", e.Name, e.Type)
		}
	}
	all := tsharkReads(t, w)
	for typ, k := range everyType {
		if got := all[k.field]; !slices.Contains(got, k.want) {
			t.Errorf("type %d: tshark reads no %s of %s: %q", typ, k.field, k.want, got)
		}
	}
}

// tsharkReads returns the values of the fields of everyType.
func tsharkReads(t *testing.T, w *pcap) map[string][]string {
	t.Helper()
	args, all := []string{"-T", "fields", "-E", "aggregator=|"}, map[string][]string{}
	var fields []string
	for _, k := range everyType {
		if !slices.Contains(fields, k.field) {
			fields, args = append(fields, k.field), append(args, "-e", k.field)
		}
	}
	for line := range strings.Lines(tshark(t, w, args...)) {
		for i, column := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			all[fields[i]] = append(all[fields[i]], strings.Split(column, "|")...)
		}
	}
	return all
}

// definitions returns what each template that c has seen consists of: its scope, and its
// fields. Two definitions of one id, or a withdrawal (RFC 7011 §8.1), are errors.
func (c *collector) definitions() map[string][][]netflow.Field {
	c.t.Helper()
	all := map[string][][]netflow.Field{}
	define := func(m *decoded, id uint16, fields ...[]netflow.Field) {
		key := fmt.Sprintf("%d of domain %d", id, m.domain)
		if id < firstTemplateID || len(slices.Concat(fields...)) == 0 {
			c.t.Errorf("template %s is withdrawn", key)
		}
		if old := all[key]; old != nil && fmt.Sprint(old) != fmt.Sprint(fields) {
			c.t.Errorf("template %s was %v and is %v", key, old, fields)
		}
		all[key] = fields
	}
	for i := range c.messages {
		m := &c.messages[i]
		for _, set := range m.sets {
			switch s := set.(type) {
			case netflow.TemplateFlowSet:
				for _, r := range s.Records {
					define(m, r.TemplateId, r.Fields)
				}
			case netflow.NFv9OptionsTemplateFlowSet:
				for _, r := range s.Records {
					define(m, r.TemplateId, r.Scopes, r.Options)
				}
			case netflow.IPFIXOptionsTemplateFlowSet:
				for _, r := range s.Records {
					define(m, r.TemplateId, r.Scopes, r.Options)
				}
			}
		}
	}
	return all
}

// announcingAll has all options that there are.
func announcingAll(cfg Config) Config {
	cfg.TemplatePackets = 5
	cfg.Now = func() flow.Time { return 0 }
	cfg.InterfaceTable = someInterfaces
	cfg.Unmetered = func() Unmetered {
		return Unmetered{Packets: 1, First: flow.Time(time.Second), Last: flow.Time(time.Hour)}
	}
	cfg.stats = func() (s Stats) {
		s.FirstDrop, s.LastDrop = flow.Time(time.Minute), flow.Time(2*time.Minute)
		return s
	}
	return cfg
}

// TestTemplatesStay (RFC 5471 §3.2.5 and §3.6.8): however long a session lasts, a template
// is defined in one way and never withdrawn, by UDP as often as it is sent again; by TCP it
// is sent once, and in the next session as before.
func TestTemplatesStay(t *testing.T) {
	for _, cfg := range everyLayout() {
		for _, transport := range []Transport{UDP, TCP} {
			cfg.Transport = transport
			if transport == TCP && cfg.Protocol != IPFIX {
				continue
			}
			c := newCollector(t)
			s := c.session(announcingAll(cfg))
			sessions := 2
			for range sessions {
				feed(s, 500)
				s.Finish(1e15)
				s.Report(1e15)
				s.restart()
			}
			seen, sent := c.definitions(), 0
			for i := range c.messages {
				sent += len(c.messages[i].templateIDs())
			}
			if n := sessions * len(seen); len(seen) < 6 || transport == TCP && sent != n || transport == UDP && sent < 5*n {
				t.Errorf("%v %+v by %v: %d templates were sent %d times", cfg.Protocol, cfg.Fields, transport, len(seen), sent)
			}
		}
	}
}

// TestScopes (RFC 5471 §3.4.1, §3.4.2): what each kind of options is about is one element,
// and its number is told (RFC 7011 §3.4.2.2); in NetFlow v9 it is System.
func TestScopes(t *testing.T) {
	want := map[Protocol][]uint16{
		NetFlow9: {1}, IPFIX: {ingressInterface, exportingProcessID, templateID, observationDomainID, selectorID},
	}
	for _, p := range bothTemplated {
		var got []uint16
		for _, form := range []SamplerForm{FormSampling, FormSelector} {
			if p == NetFlow9 && form == FormSelector {
				continue
			}
			c := newCollector(t)
			feed(c.session(announcingAll(Config{Protocol: p, Sampling: Sampling{Interval: 10, Form: form}})), 1)
			for id, d := range c.definitions() {
				if len(d) < 2 {
					continue
				}
				if len(d[0]) != 1 || d[0][0].PenProvided {
					t.Errorf("%v template %s: scope %v", p, id, d[0])
				}
				got = append(got, d[0][0].Type)
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want[p]) {
			t.Errorf("%v: scopes %v, want %v", p, got, want[p])
		}
	}
}

// TestFixedLengths (RFC 5471 §3.2.2, §3.2.4): no field is of variable length, none is
// paddingOctets, and no record is so short that it would need them.
func TestFixedLengths(t *testing.T) {
	for _, cfg := range everyLayout() {
		c := newCollector(t)
		feed(c.session(announcingAll(cfg)), 1)
		for id, d := range c.definitions() {
			octets := 0
			for _, f := range slices.Concat(d...) {
				octets += int(f.Length)
				if f.Length == 0 || f.Length == 0xffff || f.Type == 210 {
					t.Errorf("%v %+v template %s: element %d of length %d", cfg.Protocol, cfg.Fields, id, f.Type, f.Length)
				}
			}
			if octets < 5 {
				t.Errorf("%v %+v template %s: records of %d octets", cfg.Protocol, cfg.Fields, id, octets)
			}
		}
	}
}

// TestRepeatedElement (RFC 5471 §3.3.3): where an element stands twice, the first one is
// the first in time (RFC 7011 §4.2, §4.3).
func TestRepeatedElement(t *testing.T) {
	for _, p := range bothTemplated {
		c := newCollector(t)
		feed(c.session(announcingAll(Config{Protocol: p})), 1)
		var got []string
		for i := range c.messages {
			for _, set := range c.messages[i].sets {
				if s, ok := set.(netflow.OptionsDataFlowSet); ok {
					for _, f := range s.Records[0].OptionsValues {
						if f.Type == observationTimeMilliseconds {
							ms := int64(values{0: f.Value.([]byte)}.uint(0))
							got = append(got, time.UnixMilli(ms).Sub(testEpoch).String())
						}
					}
				}
			}
		}
		if want := []string{"1s", "1h0m0s", "1m0s", "2m0s"}; len(got) < 4 || !slices.Equal(got[:4], want) {
			t.Errorf("%v: times %v, want %v", p, got, want)
		}
	}
}

// TestCollectorsInParallel (RFC 5471 §3.5.6): several exporters have the same records, in
// templates of their own, and each collector has all of them; so has one that serves two.
func TestCollectorsInParallel(t *testing.T) {
	t.Parallel()
	shared, own := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	stream := Config{Name: "stream", Protocol: IPFIX, Transport: TCP}
	streamed := streamCollectorAt(t, &stream, "127.0.0.1")
	var all []*Exporter
	for _, cfg := range []Config{
		{Name: "simple", Protocol: IPFIX, Address: shared.LocalAddr().String(), Fields: Fields{Layout: LayoutISR}},
		{Name: "complex", Protocol: IPFIX, Address: shared.LocalAddr().String(), Fields: Fields{FlowID: true, Timestamps: TimestampsNanoseconds}},
		{Name: "own", Protocol: NetFlow9, Address: own.LocalAddr().String()},
		stream,
	} {
		all = append(all, startExporter(t, cfg))
	}
	var putting sync.WaitGroup
	for range 2 {
		putting.Go(func() {
			for range 10 {
				for _, e := range all {
					e.Put(records(10))
				}
			}
		})
	}
	putting.Wait()
	want := sum(records(200))
	for conn, exporters := range map[net.PacketConn]uint64{shared: 2, own: 1} {
		c := newCollector(t)
		c.receiveFrom(conn, exporters*want.Records)
		if got := c.sums(); got.Octets != exporters*want.Octets || got.Packets != exporters*want.Packets {
			t.Errorf("%d exporters: received %+v, each had %+v", exporters, got, want)
		}
	}
	if err := all[3].Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	streamed.stop()
	if streamed.count() != want {
		t.Errorf("by TCP: received %+v, want %+v", streamed.count(), want)
	}
}

// TestExporterKilled (RFC 5471 §3.6.2): an exporter dies amid its records, and another one
// takes its place: its session begins anew, with templates.
func TestExporterKilled(t *testing.T) {
	t.Parallel()
	t.Run("UDP", func(t *testing.T) {
		conn := listen(t, "127.0.0.1:0")
		for range 2 {
			e, kill := runKillable(t, Config{Protocol: IPFIX, SourceID: 7, Address: conn.LocalAddr().String()})
			m := firstFrom(t, conn, e)
			kill()
			if m.sequence != 0 || len(m.templateIDs()) < 3 || len(m.records()) > 0 {
				t.Errorf("the session begins at %d with templates %v", m.sequence, m.templateIDs())
			}
		}
	})
	t.Run("TCP", func(t *testing.T) {
		cfg := Config{Protocol: IPFIX, Transport: TCP, SourceID: 7, Reconnect: 100 * time.Millisecond}
		c := streamCollectorAt(t, &cfg, "127.0.0.1")
		for range 2 {
			e, kill := runKillable(t, cfg)
			for e.Stats().Sent.Records < 20 {
				time.Sleep(time.Millisecond)
			}
			kill()
		}
		c.stop()
		if c.sessions != 2 {
			t.Errorf("%d sessions, want 2", c.sessions)
		}
	})
}

// runKillable runs an exporter that has records until kill is called.
func runKillable(t *testing.T, cfg Config) (e *Exporter, kill func()) {
	t.Helper()
	cfg.Now = liveNow
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Put(records(1000))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	return e, func() {
		cancel()
		<-ended
		checkLedger(t, e)
	}
}

// firstFrom returns the first datagram of e: others of before may still arrive.
func firstFrom(t *testing.T, conn net.PacketConn, e *Exporter) *decoded {
	t.Helper()
	buf := make([]byte, 1<<16)
	for {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, addr, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if local, _ := e.LocalAddr(); addrPort(addr) == local {
			c := newCollector(t)
			c.receive(buf[:n])
			return &c.messages[0]
		}
	}
}
