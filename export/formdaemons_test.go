package export

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cacheflow/cache/flow"
)

// readTimes tells of which forms nfdump 1.7.1 and nfacctd 1.7.7 read start and end: in
// IPFIX milliseconds only. Of others the former has 1970 or nonsense, the latter the
// header's time.
func readTimes(cfg *Config) bool {
	return cfg.Protocol == NetFlow9 || cfg.Fields.Timestamps.of(IPFIX) == TimestampsMilliseconds || cfg.Fields.Timestamps == ""
}

// TestNfacctdForms: pmacct with its checks on complains of no form, has every packet
// and octet, and reads all fields; but see readTimes.
func TestNfacctdForms(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	eachChoice(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		log, got, total, sent := nfacctdReads(t, cfg, judged(cfg.Protocol))
		if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
			t.Errorf("nfacctd complains:\n%s", log)
		}
		var want []string
		for _, r := range judged(cfg.Protocol) {
			w := nfacctdWant(cfg.Protocol, &r)
			for _, k := range []string{"timestamp_start", "timestamp_end"} {
				if cfg.Fields.Timestamps == TimestampsMilliseconds {
					w[k] = nfacctdWant(IPFIX, &r)[k]
				} else if !readTimes(&cfg) {
					delete(w, k)
				}
			}
			want = append(want, fmt.Sprint(w))
		}
		slices.Sort(want)
		if !readTimes(&cfg) {
			for i := range got {
				got[i] = stamps.ReplaceAllString(got[i], "")
			}
		}
		if !slices.Equal(got, want) || total.Packets != sent.Packets || total.Octets != sent.Octets {
			t.Errorf("nfacctd has %+v\n%s\nwant %+v\n%s", total, strings.Join(got, "\n"), sent, strings.Join(want, "\n"))
		}
	})
}

var stamps = regexp.MustCompile(` timestamp_(start|end):[0-9.]+`)

// TestNfcapdForms: nfdump has every packet and octet of each form, and reads all
// fields; but see readTimes. (It counts an options record as a lost flow, so that
// systemInitTimeMilliseconds makes it complain of the sequence.)
func TestNfcapdForms(t *testing.T) {
	t.Parallel()
	need(t, "nfcapd", "nfdump")
	eachChoice(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		rs := judged(cfg.Protocol)
		log, flows, sent := nfcapdReads(t, cfg, rs)
		if want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: ",
			sent.Records, sent.Packets, sent.Octets); !strings.Contains(log, want) {
			t.Errorf("nfcapd says\n%s\nwant %s", log, want)
		}
		if options := cfg.Protocol == IPFIX && cfg.Fields.Timestamps == TimestampsSysUpTime; !options && !strings.Contains(log, "Errors: 0, Bad Packets: 0") {
			t.Errorf("nfcapd complains:\n%s", log)
		}
		for i, got := range flows {
			compareNfdump(t, cfg.Protocol, &rs[i%len(rs)], got)
			if readTimes(&cfg) {
				compareNfdumpTimes(t, cfg.Fields.Timestamps != TimestampsMilliseconds && cfg.Protocol == NetFlow9, &rs[i%len(rs)], got)
			}
			if t.Failed() {
				return
			}
		}
	})
}

// judgedLayout are records of which one has to be split in three.
func judgedLayout() []flow.Record {
	rs := layoutRecords()
	rs[0].SrcPort, rs[0].Octets = 50000, 3<<32-3
	return rs
}

// TestNfcapdLayouts: nfdump has every packet and octet of a router's layout, and
// addresses, ports, protocol and counters of each record.
func TestNfcapdLayouts(t *testing.T) {
	t.Parallel()
	need(t, "nfcapd", "nfdump")
	eachLayout(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		rs := judgedLayout()
		log, flows, sent := nfcapdReads(t, cfg, rs)
		if want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0",
			sent.Records+2*times, sent.Packets, sent.Octets); !strings.Contains(log, want) {
			t.Errorf("nfcapd says\n%s\nwant %s", log, want)
		}
		unsplit := slices.DeleteFunc(flows, func(r map[string]string) bool { return r["src port"] == "50000" })
		for i, got := range unsplit {
			r := &rs[1+i%(len(rs)-1)]
			want := fmt.Sprint(r.Protocol, r.SrcAddr(), r.DstAddr(), r.Packets, r.Octets, r.Input)
			if is := fmt.Sprint(got["proto"], " ", got["src addr"], " ", got["dst addr"], " ", got["in packets"], " ", got["in bytes"], " ", got["input"]); is != want {
				t.Fatalf("nfdump: %s, want %s", is, want)
			}
		}
	})
}

// TestNfacctdLayouts: pmacct with its checks on complains of no router's layout, and has
// every packet and octet.
func TestNfacctdLayouts(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	eachLayout(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		log, _, total, sent := nfacctdReads(t, cfg, judgedLayout())
		if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
			t.Errorf("nfacctd complains:\n%s", log)
		}
		if total.Packets != sent.Packets || total.Octets != sent.Octets {
			t.Errorf("nfacctd has %+v of %+v", total, sent)
		}
	})
}

// judgedBiflows are the records of some conversations, and what their initiators sent.
func judgedBiflows() (rs []flow.Record, initiators Count) {
	for i, pair := range conversations() {
		if pair[0].IsICMP() {
			continue
		}
		port := uint16(50000 + i)
		pair[0].SrcPort, pair[1].DstPort = port, port
		rs = append(rs, pair[0], pair[1])
		initiators.add(Count{times, times * pair[0].Packets, times * pair[0].Octets})
	}
	return rs, initiators
}

// TestNfacctdBiflow: nfacctd 1.7.7 has no complaint, and the initiator's packets and
// octets; elements of the reverse direction it passes over.
func TestNfacctdBiflow(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	rs, want := judgedBiflows()
	log, _, total, _ := nfacctdReads(t, Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}, rs)
	if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
		t.Errorf("nfacctd complains:\n%s", log)
	}
	if total.Packets != want.Packets || total.Octets != want.Octets {
		t.Errorf("nfacctd has %+v, want %+v", total, want)
	}
}

// TestNfcapdBiflow: nfdump 1.7.1 has every packet and octet of both directions.
func TestNfcapdBiflow(t *testing.T) {
	t.Parallel()
	need(t, "nfcapd", "nfdump")
	rs, _ := judgedBiflows()
	log, flows, sent := nfcapdReads(t, Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}, rs)
	if want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0",
		sent.Records/2, sent.Packets, sent.Octets); !strings.Contains(log, want) {
		t.Errorf("nfcapd says\n%s\nwant %s", log, want)
	}
	for i, got := range flows {
		a, b := &rs[2*i%len(rs)], &rs[2*i%len(rs)+1]
		want := fmt.Sprint(a.Packets, a.Octets, b.Packets, b.Octets, a.SrcPort)
		if is := fmt.Sprint(got["in packets"], " ", got["in bytes"], " ", got["out packets"], " ", got["out bytes"], " ", got["src port"]); is != want {
			t.Fatalf("nfdump: %s, want %s\n%v", is, want, got)
		}
	}
}
