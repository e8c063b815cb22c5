package vector_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/vector"
	"cacheflow/test/judge"
)

var at = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// send sends messages as a router would, but slowly.
func send(t *testing.T, to netip.AddrPort, messages [][]byte) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, m := range messages {
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// safe returns the messages of all vectors that take down nobody, and the numbers of these.
func safe() (messages [][]byte, numbers []int) {
	for i, v := range vector.All() {
		if v.Beware == "" {
			messages, numbers = append(messages, v.Messages(i+1, at)...), append(numbers, i+1)
		}
	}
	return messages, numbers
}

// Names are there once, and say something.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i, v := range vector.All() {
		if seen[v.Name] || v.Is == "" || v.Shows == "" {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
		found, number, err := vector.Find(v.Name)
		if err != nil || number != i+1 || found.Name != v.Name {
			t.Errorf("%s is number %d instead of %d: %v", v.Name, number, i+1, err)
		}
		if !slices.EqualFunc(v.Messages(i+1, at), found.Messages(i+1, at), bytes.Equal) {
			t.Errorf("%s has other octets the second time", v.Name)
		}
	}
	if _, _, err := vector.Find("3.9"); err == nil {
		t.Error("there is a vector 3.9")
	}
}

// What tshark says of each message is in testdata/tshark.txt: how many flows with addresses it has,
// and what is wrong with it.
func TestTshark(t *testing.T) {
	r := judge.StartRecorder(t, netip.AddrPort{})
	var names []string
	for i, v := range vector.All() {
		messages := v.Messages(i+1, at)
		for k := range messages[:len(messages)-1] {
			names = append(names, fmt.Sprintf("%s message %d", v.Name, k+1))
		}
		names = append(names, v.Name+" correct")
		send(t, r.Address, messages)
	}
	r.Settle(50 * time.Millisecond)
	rows := judge.NewTshark(t, r).Fields("cflow.srcaddr", "cflow.srcaddrv6", "_ws.expert.message")
	if len(rows) != len(names) {
		t.Fatalf("tshark has %d datagrams of %d", len(rows), len(names))
	}
	var text strings.Builder
	for i, row := range rows {
		flows := 0
		for _, addresses := range row[:2] {
			if addresses != "" {
				flows += 1 + strings.Count(addresses, "|")
			}
		}
		says := slices.Compact(strings.Split(row[2], "|"))
		fmt.Fprintf(&text, "%s: %s\n", names[i], strings.TrimSpace(fmt.Sprintf("%d flows %s", flows, strings.Join(says, "; "))))
	}
	want, err := os.ReadFile("testdata/tshark.txt")
	if err != nil || text.String() != string(want) {
		t.Errorf("tshark says other than testdata/tshark.txt (%v):\n%s", err, &text)
	}
}

// markers returns the numbers of the correct flows among others.
func markers(flows []judge.Flow) (numbers []int) {
	for _, f := range flows {
		number := int(f.Uint("sourceTransportPort"))
		if m := vector.MarkerOf(number); m.Octets == f.Uint("octetDeltaCount") && f["sourceIPv4Address"] == m.Src.Addr().String() && f["destinationTransportPort"] == "443" {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// No vector but those that say so takes down nfcapd, nfacctd or goflow2's decoder: each has the
// correct flow behind each of them.
func TestNobodyDies(t *testing.T) {
	messages, want := safe()
	t.Run("nfcapd", func(t *testing.T) {
		n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
		send(t, n.Address, messages)
		n.Stop()
		if got := markers(n.Flows()); !slices.Equal(got, want) {
			t.Errorf("it has the flows behind %d, not %d", got, want)
		}
	})
	t.Run("nfacctd", func(t *testing.T) {
		n := judge.StartNfacctd(t, judge.NfacctdConfig{Records: 30_000})
		send(t, n.Address, messages)
		n.Stop(len(want))
		if got := markers(n.Flows()); !slices.Equal(got, want) {
			t.Errorf("it has the flows behind %d, not %d", got, want)
		}
	})
	t.Run("goflow2", func(t *testing.T) {
		var datagrams []judge.Datagram
		for _, m := range messages {
			datagrams = append(datagrams, judge.Datagram{Data: m})
		}
		flows, err := judge.Goflow2(datagrams)
		if got := markers(flows); err == nil || !slices.Equal(got, want) {
			t.Errorf("it has the flows behind %d, not %d", got, want)
		}
	})
}

// No vector shares its sequence numbers with another: it has its own Observation Domain, Source ID or
// engine, but for messages that are too short for one.
func TestDomains(t *testing.T) {
	type domain struct {
		version uint16
		id      uint32
	}
	owner := map[domain]string{}
	for i, v := range vector.All() {
		for _, m := range v.Messages(i+1, at) {
			d := domain{version: binary.BigEndian.Uint16(m)}
			switch at := map[uint16]int{9: 16, 10: 12}[d.version]; {
			case d.version == 5:
				d.id = uint32(m[20])<<8 | uint32(m[21])
			case len(m) < at+4:
				continue
			default:
				d.id = binary.BigEndian.Uint32(m[at:])
			}
			if other := owner[d]; other != "" && other != v.Name {
				t.Errorf("%s and %s are both of %+v", other, v.Name, d)
			}
			owner[d] = v.Name
		}
	}
}
