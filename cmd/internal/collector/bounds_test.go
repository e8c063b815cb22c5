package collector

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// templateMessage is an IPFIX message with one template of n fields, each a
// packet count of length octets.
func templateMessage(t testing.TB, id, n, length int) []byte {
	return fixLength(octetsOf(t, v10Header+fmt.Sprintf("0002 %04x %04x %04x", 8+4*n, id, n)+
		strings.Repeat(fmt.Sprintf("0002%04x", length), n)))
}

func dataMessage(t testing.TB, id, octets int) []byte {
	return fixLength(octetsOf(t, v10Header+fmt.Sprintf("%04x %04x", id, 4+octets)+strings.Repeat("00", octets)))
}

// nth returns a different exporter for each n.
func nth(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 2055)
}

func TestExportersAreBounded(t *testing.T) {
	c := New(Config{MaxExporters: 8})
	d := templateMessage(t, 256, 3, 4)
	feed(t, c, exporterA, d)
	for i := range 2000 {
		feed(t, c, nth(i), d)
		feed(t, c, exporterA, dataMessage(t, 256, 12)) // who talks, stays
	}
	s := c.Stats()
	if n := len(c.Exporters()); n != 8 || s.ReplacedExporters != 2000-7 {
		t.Errorf("%d exporters, %d replaced", n, s.ReplacedExporters)
	}
	if c.fields != 8*3 {
		t.Errorf("%d fields are accounted for, want 24", c.fields)
	}
	wantFound(t, c, nil)
}

func TestTemplatesAreBounded(t *testing.T) {
	c := New(Config{MaxTemplates: 16})
	feed(t, c, exporterA, templateMessage(t, 256, 3, 4))
	for i := range 2000 {
		feed(t, c, exporterA, templateMessage(t, 257+i, 3, 4), dataMessage(t, 256, 12))
	}
	x, _ := c.exporters.get(exporterA.Addr())
	if x.templates.len() != 16 || c.fields != 48 || x.fields != 48 {
		t.Errorf("%d templates, %d and %d fields", x.templates.len(), c.fields, x.fields)
	}
	if s := c.Stats(); s.Records != 2000 || s.ReplacedTemplates != 2000-15 {
		t.Errorf("%d records with the template in use, %d replaced", s.Records, s.ReplacedTemplates)
	}
}

func TestFieldsAreBounded(t *testing.T) {
	c := New(Config{MaxFields: 100, MaxTotalFields: 250})
	feed(t, c, exporterA, templateMessage(t, 256, 101, 4))
	wantFound(t, c, map[Reason]uint64{TooManyFields: 1})
	feed(t, c, exporterA, templateMessage(t, 256, 60, 4), templateMessage(t, 257, 40, 4), templateMessage(t, 258, 1, 4))
	if x, _ := c.exporters.get(exporterA.Addr()); x.fields != 41 {
		t.Errorf("the exporter has %d fields, want those of its last two templates", x.fields)
	}
	for i := range 10 {
		feed(t, c, nth(i), templateMessage(t, 256, 100, 4))
		if c.fields > 250 {
			t.Errorf("%d fields", c.fields)
		}
	}
	if s := c.Stats(); s.ReplacedExporters != 9 {
		t.Errorf("%d exporters replaced, want 9 of 11", s.ReplacedExporters)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	c := New(Config{MaxSessions: 5})
	for i := range 1000 {
		d := dataMessage(t, 256, 0)
		be.PutUint32(d[12:], uint32(i))
		feed(t, c, exporterA, d)
	}
	if n, s := len(c.Exporters()), c.Stats(); n != 5 || s.ReplacedSessions != 995 {
		t.Errorf("%d sessions, %d replaced", n, s.ReplacedSessions)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	c := New(Config{MaxRecords: 1000})
	feed(t, c, exporterA, templateMessage(t, 256, 1, 1), dataMessage(t, 256, 1001), dataMessage(t, 256, 1000))
	if s := c.Stats(); s.Records != 2000 {
		t.Errorf("%d records", s.Records)
	}
	wantFound(t, c, map[Reason]uint64{TooManyRecords: 1})
}

// RFC 5471 §3.5.3: the largest template that fits a datagram, and a record of
// it.
func TestLargestTemplate(t *testing.T) {
	const n = (65507 - header10 - 8) / 4
	c := New(Config{})
	got := feed(t, c, exporterA, templateMessage(t, 256, n, 4), dataMessage(t, 256, 4*n))
	if !strings.Contains(got, fmt.Sprintf(`"packetDeltaCount#%d":0}`, n)) {
		t.Errorf("%d octets of output", len(got))
	}
	wantFound(t, c, nil)
}

// The costliest datagrams that the check lets pass. The bound is generous: what
// it catches is work that grows faster than the datagram.
func TestHostileDatagramsCostBoundedTime(t *testing.T) {
	const most = 65535 - header10 - setSize
	many := v10Header + fmt.Sprintf("0002 %04x", 4+most/8*8)
	for i := range most / 8 {
		many += fmt.Sprintf("%04x 0001 0001 0004", 256+i)
	}
	empty := "0002 001c 0100 0005 0001 0000 0001 0000 0001 0000 0001 0000 0001 0001"
	for name, datagrams := range map[string][][]byte{
		"as many templates as fit":  {fixLength(octetsOf(t, many))},
		"one octet a record":        {templateMessage(t, 256, 1, 1), dataMessage(t, 256, most)},
		"mostly empty fields":       {fixLength(octetsOf(t, v10Header+empty)), dataMessage(t, 256, most)},
		"largest template, 1 octet": {templateMessage(t, 256, most/4-1, 1), dataMessage(t, 256, most)},
		"all withdrawals":           {fixLength(octetsOf(t, v10Header+fmt.Sprintf("0002 %04x", 4+most/4*4)+strings.Repeat("01000000", most/4)))},
		"all sets empty":            {fixLength(octetsOf(t, v10Header+strings.Repeat("01000004", most/4)))},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Config{MaxRecords: 1 << 20})
			start, records := time.Now(), 0
			for range 3 {
				for _, d := range datagrams {
					if err := c.Decode(d, exporterA, received, func(*Record) { records++ }); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%v a datagram, %d records", time.Since(start)/time.Duration(3*len(datagrams)), records)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%v for %d datagrams", took, 3*len(datagrams))
			}
		})
	}
}
