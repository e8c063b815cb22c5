package collector

import (
	"fmt"
	"testing"
)

const exported = 1_700_000_000_000 // milliseconds

// Flow times in every form that the protocols have. Those relative to the
// uptime are modulo 2^32 milliseconds, 49.7 days.
func TestFlowTimes(t *testing.T) {
	const day = 86_400_000
	five := func(uptime, first, last uint32) []byte {
		b := message5(0, 1)
		be.PutUint32(b[4:], uptime)
		be.PutUint32(b[8:], exported/1000)
		be.PutUint32(b[header5+24:], first)
		be.PutUint32(b[header5+28:], last)
		return b
	}
	nine := func(uptime, first, last uint32) []byte {
		return octetsOf(t, fmt.Sprintf("0009 0002 %08x 6553f100 00000000 00000000", uptime)+
			fmt.Sprintf("0000 0010 0100 0002 0015 0004 0016 0004  0100 000c %08x %08x", last, first))
	}
	ten := func(template, data string) []byte { return fixLength(octetsOf(t, v10Header+template+data)) }
	for _, test := range []struct {
		name       string
		datagram   []byte
		start, end int64
	}{
		{"v5", five(90_000, 60_000, 80_000), exported - 30_000, exported - 10_000},
		{"v5, wrapped in the flow", five(1000, 0xfffff000, 500), exported - 5096, exported - 500},
		{"v5, wrapped after the flow", five(1000, 0xffff0000, 0xfffff000), exported - 66536, exported - 5096},
		{"v5, last behind the header", five(1000, 500, 1500), exported - 500, exported + 500},
		{"v5, ten days", five(20*day, 10*day, 20*day), exported - 10*day, exported},
		{"v9", nine(90_000, 60_000, 80_000), exported - 30_000, exported - 10_000},
		{"v9, wrapped in the flow", nine(1000, 0xfffff000, 500), exported - 5096, exported - 500},
		{"IPFIX seconds", ten("0002 0010 0100 0002 0096 0004 0097 0004", "0100 000c 6553f0f0 6553f0ff"), exported - 16_000, exported - 1000},
		{"IPFIX milliseconds", ten("0002 0010 0100 0002 0098 0008 0099 0008", "0100 0014 0000018bcfe56801 0000018bcfe56802"),
			exported + 1, exported + 2},
		{"IPFIX microseconds before the export", ten("0002 0010 0100 0002 009e 0004 009f 0004", "0100 000c 001e8480 000f4240"),
			exported - 2000, exported - 1000},
		{"IPFIX nanoseconds", ten("0002 0010 0100 0002 009c 0008 009d 0008", "0100 0014 e8fe6f80 00418937 e8fe6f80 ffffffff"),
			exported + 1, exported + 1000},
		{"IPFIX uptimes with the boot time in the record",
			ten("0002 0014 0100 0003 00a0 0008 0016 0004 0015 0004", "0100 0014 0000018bcfe3e160 00015f90 00017318"),
			1_699_999_900_000 + 90_000, 1_699_999_900_000 + 95_000},
		{"IPFIX, the best of several forms",
			ten("0002 0020 0100 0006 0096 0004 0098 0008 0016 0004 0097 0004 0099 0008 0015 0004",
				"0100 0024 00000001 0000018bcfe56801 00000002 00000003 0000018bcfe56802 00000004"), exported + 1, exported + 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			records := 0
			c := New(Config{})
			err := c.Decode(test.datagram, exporterA, received, func(r *Record) {
				records++
				if row := r.Row(); row.Start != test.start || row.End != test.end {
					t.Errorf("%d to %d, want %d to %d", row.Start-exported, row.End-exported, test.start-exported, test.end-exported)
				}
			})
			if err != nil || records != 1 {
				t.Errorf("%v, %d records", err, records)
			}
			wantFound(t, c, nil)
		})
	}
}

// IOS-XR tells the boot time in options of its own. Without it, uptimes are
// what they are.
func TestUptimesInIPFIX(t *testing.T) {
	c := New(Config{})
	flow := octetsOf(t, v10Header+"0002 0010 0100 0002 0016 0004 0015 0004  0100 000c 00015f90 00017318")
	boot := octetsOf(t, v10Header+"0003 0012 0101 0002 0001 0095 0004 00a0 0008  0101 0010 00000101 0000018bcfe3e160")
	got := feed(t, c, exporterA, fixLength(flow), fixLength(boot), fixLength(flow))
	want := `{"flowStartSysUpTime":90000,"flowEndSysUpTime":95000}
{"options":true,"observationDomainId":257,"systemInitTimeMilliseconds":1699999900000}
{"flowStartMilliseconds":1699999990000,"flowEndMilliseconds":1699999995000}
`
	if got != want {
		t.Error(got)
	}
}
