package collector

import (
	"testing"
)

// message5 returns a v5 datagram of n records.
func message5(sequence uint32, n int) []byte {
	b := make([]byte, header5+n*record5)
	be.PutUint16(b, 5)
	be.PutUint16(b[2:], uint16(n))
	be.PutUint32(b[16:], sequence)
	return b
}

// message9 returns a v9 datagram without sets.
func message9(sequence uint32, _ int) []byte {
	b := make([]byte, header9)
	be.PutUint16(b, 9)
	be.PutUint32(b[12:], sequence)
	return b
}

// message10 returns a function that makes IPFIX messages: n records of one
// octet with template 256, half of them options of template 257, both of which
// stand in front.
func message10(t *testing.T) func(uint32, int) []byte {
	templates := octetsOf(t, "0002 000c 0100 0001 0004 0001  0003 0012 0101 0002 0001 0095 0001 0004 0001")
	return func(sequence uint32, n int) []byte {
		b := append(octetsOf(t, v10Header), templates...)
		be.PutUint32(b[8:], sequence)
		options := n / 2
		b = be.AppendUint16(be.AppendUint16(b, 256), uint16(setSize+n-options))
		b = append(b, make([]byte, n-options)...)
		b = be.AppendUint16(be.AppendUint16(b, 257), uint16(setSize+2*options))
		return fixLength(append(b, make([]byte, 2*options)...))
	}
}

type step struct {
	sequence uint32
	n        int // data records
}

func TestSequences(t *testing.T) {
	ten := message10(t)
	for _, test := range []struct {
		name           string
		make           func(uint32, int) []byte
		steps          []step
		lost           uint64
		late, restarts uint64
	}{
		{"v5 counts records", message5, []step{{100, 30}, {130, 1}, {131, 5}}, 0, 0, 0},
		{"v5 loses a datagram of 20", message5, []step{{0, 30}, {50, 30}, {80, 30}}, 20, 0, 0},
		{"v5 wraps", message5, []step{{0xfffffff0, 30}, {14, 30}}, 0, 0, 0},
		{"v9 counts datagrams", message9, []step{{7, 0}, {8, 0}, {9, 0}}, 0, 0, 0},
		{"v9 loses three", message9, []step{{7, 0}, {11, 0}, {12, 0}}, 3, 0, 0},
		{"v9 loses one at the wrap", message9, []step{{0xffffffff, 0}, {1, 0}}, 1, 0, 0},
		{"v9 gets one late", message9, []step{{7, 0}, {9, 0}, {8, 0}, {10, 0}}, 0, 1, 0},
		{"v9 begins anew", message9, []step{{500, 0}, {0, 0}, {1, 0}}, 0, 0, 1},
		{"v9 begins anew elsewhere", message9, []step{{1 << 20, 0}, {5000, 0}, {5001, 0}}, 0, 0, 1},
		{"v9 jumps too far", message9, []step{{0, 0}, {1 << 30, 0}, {1<<30 + 1, 0}}, 0, 0, 1},
		{"IPFIX counts options too", ten, []step{{0, 10}, {10, 7}, {17, 0}, {17, 4}, {21, 1}}, 0, 0, 0},
		{"IPFIX loses nine", ten, []step{{0, 10}, {19, 7}, {26, 1}}, 9, 0, 0},
		{"IPFIX gets some late", ten, []step{{0, 10}, {16, 4}, {10, 6}, {20, 1}}, 0, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(Config{})
			for _, s := range test.steps {
				feed(t, c, exporterA, test.make(s.sequence, s.n))
			}
			s := c.Stats()
			if s.LostDatagrams+s.LostRecords != test.lost || s.Late != test.late || s.Restarts != test.restarts {
				t.Errorf("lost %d datagrams, %d records; %d late, %d restarts", s.LostDatagrams, s.LostRecords, s.Late, s.Restarts)
			}
			if x := c.Exporters(); len(x) != 1 || x[0].Lost != test.lost {
				t.Errorf("%+v", x)
			}
		})
	}
}

// Each engine, source id and observation domain has its own sequence.
func TestSequencesAreIsolated(t *testing.T) {
	c := New(Config{})
	for i := range uint32(10) {
		for domain := range uint32(4) {
			for _, version := range []uint16{netflow5, netflow9} {
				b := message9(1000*domain+i, 0)
				if version == netflow5 {
					b = message5(1000*domain+i, 1)
					b[21] = byte(domain)
				} else {
					be.PutUint32(b[16:], domain)
				}
				feed(t, c, exporterA, b)
				feed(t, c, exporterB, b)
			}
		}
	}
	if s := c.Stats(); s.LostDatagrams+s.LostRecords+s.Late+s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	if n := len(c.Exporters()); n != 16 {
		t.Errorf("%d sequence spaces, want 16", n)
	}
}

// While a template is unknown the number of records is, too: nothing is lost,
// and nothing is said to be.
func TestUnknownTemplateIsNoLoss(t *testing.T) {
	ten, c := message10(t), New(Config{})
	unknown := dataMessage(t, 999, 5)
	be.PutUint32(unknown[8:], 10)
	feed(t, c, exporterA, ten(0, 10), unknown, ten(15, 5), ten(22, 1))
	if s := c.Stats(); s.LostRecords != 2 {
		t.Errorf("%d lost, want the 2 of the last gap", s.LostRecords)
	}
}
