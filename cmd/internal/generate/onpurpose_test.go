package generate_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/vector"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// onPurpose is all that goes wrong on purpose, as flags have it. Each is of a router of its own.
var onPurpose = []string{
	"fault drop=10%,from=2s", "fault duplicate=10%,from=2s", "fault reorder=10%,from=2s", "fault delay=10%,from=2s", "fault truncate=10%,from=2s", "fault jump=10%,from=2s",
	"templates late,to=5s", "templates lost,to=5s", "templates changed,from=5s", "templates withdrawn,from=5s",
	"records limits=10%", "records reversed=10%",
	"clock wrap,at=5s", "clock step=-1h,at=5s", "clock step=1h,at=5s",
	"restart 5s",
}

// What would never be seen is refused, before anything is sent: what is about a router that there
// is not, or begins when the traffic is over.
func TestNeverOnPurpose(t *testing.T) {
	for flag, kind := range map[string]string{"fault": "drop=1%", "templates": "lost", "records": "limits=1%", "clock": "wrap", "restart": ""} {
		within, atEnd := ",from=89s", ",from=90s"
		switch flag {
		case "clock":
			within, atEnd = ",at=89s", ",at=90s"
		case "restart":
			within, atEnd = "89s", "90s"
		}
		for value, want := range map[string]string{
			kind + within + ",exporter=2": "", kind + within + ",exporter=3": "want an exporter up to 2", kind + atEnd: "the traffic ends at 1m30s",
		} {
			c := config(t, "office", export.NetFlow9)
			c.Routers, c.Duration = 2, 90*time.Second
			addOnPurpose(t, &c, flag, value)
			if err := c.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: error %v instead of %q", flag, value, err, want)
			}
		}
	}
}

// allOnPurpose returns a run of one router for each that a protocol has, and one behind them for
// which nothing goes wrong; and what each goes through.
func allOnPurpose(t *testing.T, p export.Protocol, but ...string) (c generate.Config, texts []string) {
	t.Helper()
	c = config(t, "office", p)
	c.Duration, c.Profile.Conversations, c.Pace.Datagrams = 10*time.Second, 20, 2000
	for _, text := range onPurpose {
		isOfTemplates := strings.HasPrefix(text, "templates")
		if isOfTemplates && p == export.NetFlow5 || strings.HasPrefix(text, "templates withdrawn") && p != export.IPFIX || slices.Contains(but, text) {
			continue
		}
		texts = append(texts, text)
		flag, value, _ := strings.Cut(text, " ")
		addOnPurpose(t, &c, flag, fmt.Sprintf("%s,exporter=%d", value, len(texts)))
	}
	c.Routers = len(texts) + 1
	return c, append(texts, "nothing")
}

func addOnPurpose(t *testing.T, c *generate.Config, flag, value string) {
	t.Helper()
	var err error
	switch flag {
	case "fault":
		c.Faults, err = appendParsed(c.Faults, value, generate.ParseFault)
	case "templates":
		c.Templates, err = appendParsed(c.Templates, value, generate.ParseTemplateFault)
	case "records":
		c.Records, err = appendParsed(c.Records, value, generate.ParseRecordFault)
	case "clock":
		c.Clocks, err = appendParsed(c.Clocks, value, generate.ParseClock)
	case "restart":
		c.Restarts, err = appendParsed(c.Restarts, value, generate.ParseRestart)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func appendParsed[T any](all []T, text string, parse func(string) (T, error)) ([]T, error) {
	v, err := parse(text)
	return append(all, v), err
}

// sendAll sends a run's datagrams to a collector, each router from an address of its own.
func sendAll(t *testing.T, c generate.Config, to netip.AddrPort) *sent {
	t.Helper()
	addresses, err := generate.ParseSources("127.0.3.0/24", c.Routers)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := generate.Dial(to, addresses, c.Routers)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	c.Send = sockets.Send
	return run(t, t.Context(), c)
}

// What tshark says of all that goes wrong on purpose is in testdata/tshark.txt: what it complains
// of, and where it shows what is right to it, what that is. It knows sequence numbers of NetFlow v9 and
// IPFIX, where it counts the records that it decodes, and missing templates. It knows of no wrap, and
// takes what stands first for the start, also where templates have it the other way round.
func TestTsharkOnPurpose(t *testing.T) {
	if testing.Short() {
		t.Skip("judges need no race detector")
	}
	var text strings.Builder
	for _, p := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		r := judge.StartRecorder(t, netip.AddrPort{})
		c, texts := allOnPurpose(t, p)
		sendAll(t, c, r.Address)
		r.Settle(50 * time.Millisecond)
		shown := make([]shows, c.Routers)
		for _, row := range judge.NewTshark(t, r).Fields("ip.src", "_ws.expert.message", "cflow.srcaddr", "cflow.srcaddrv6",
			"cflow.octets", "cflow.timedelta", "cflow.sysuptime", "cflow.unix_secs", "cflow.exporttime") {
			shown[netip.MustParseAddr(row[0]).As4()[3]-1].add(row[1:])
		}
		for router, of := range texts {
			fmt.Fprintf(&text, "%s %s: %s\n", p, of, &shown[router])
		}
	}
	want, err := os.ReadFile("testdata/tshark.txt")
	if err != nil || text.String() != string(want) {
		t.Errorf("tshark says other than testdata/tshark.txt (%v):\n%s", err, &text)
	}
}

// shows is what tshark shows of a router's datagrams.
type shows struct {
	flows        bool
	says         map[string]bool
	uptime, secs float64 // of the datagram before
}

var numbers = regexp.MustCompile(`[0-9]+`)

// add takes a datagram's complaints, addresses, octets, durations, sysUpTime and time.
func (s *shows) add(row []string) {
	if s.says == nil {
		s.says = map[string]bool{}
	}
	for _, what := range values(row[0]) {
		s.says[numbers.ReplaceAllString(what, "N")] = true
	}
	s.flows = s.flows || row[1]+row[2] != ""
	for _, octets := range values(row[3]) {
		if n, _ := strconv.ParseUint(octets, 10, 64); n >= 1<<31 {
			s.says["octets beyond 2^31"] = true
		}
	}
	for _, lasts := range values(row[4]) {
		if strings.HasPrefix(lasts, "-") {
			s.says["an end before the start"] = true
		}
	}
	uptime, _ := strconv.ParseFloat(row[5], 64)
	if uptime < s.uptime {
		s.says["sysUpTime goes back"] = true
	}
	secs, _ := strconv.ParseFloat(row[6]+row[7], 64)
	if off := secs - s.secs; s.secs != 0 && (off < -60 || off > 60) {
		s.says[fmt.Sprintf("time goes by %v at once", (time.Duration(off)*time.Second).Round(time.Minute))] = true
	}
	s.uptime, s.secs = uptime, secs
}

// values takes apart what tshark has several of in a datagram.
func values(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "|"), func(s string) bool { return s == "" })
}

// String returns one line.
func (s *shows) String() string {
	text := "flows"
	if !s.flows {
		text = "no flows"
	}
	for _, what := range slices.Sorted(maps.Keys(s.says)) {
		text += "; " + what
	}
	return text
}

// markers are correct messages, each of an Observation Domain of its own, as sent behind edge cases.
func markers() (messages [][]byte, all []vector.Marker) {
	for i, v := range vector.All()[:5] {
		sent := v.Messages(i+1, start)
		messages, all = append(messages, sent[len(sent)-1]), append(all, vector.MarkerOf(i+1))
	}
	return messages, all
}

// wantMarkers has all markers among the flows that a collector has.
func wantMarkers(t *testing.T, flows []judge.Flow, all []vector.Marker) {
	t.Helper()
	for _, m := range all {
		if !slices.ContainsFunc(flows, func(f judge.Flow) bool {
			return f["sourceIPv4Address"] == m.Src.Addr().String() && f.Uint("sourceTransportPort") == uint64(m.Src.Port()) && f.Uint("octetDeltaCount") == m.Octets
		}) {
			t.Errorf("of %d flows none is the correct one of %d octets", len(flows), m.Octets)
		}
	}
}

// sendMarkers sends them from one socket.
func sendMarkers(t *testing.T, to netip.AddrPort) []vector.Marker {
	t.Helper()
	messages, all := markers()
	sockets, err := generate.Dial(to, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	for _, m := range messages {
		if err := sockets.Send(0, m); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Nothing that goes wrong on purpose takes down nfcapd, nfacctd or goflow2's decoder: they have
// correct flows behind all of it. For the latter two no template is withdrawn: with data behind that
// goflow2's decoder never returns, and nfacctd 1.7.7 makes empty records of it without end.
func TestNobodyDies(t *testing.T) {
	if testing.Short() {
		t.Skip("judges need no race detector")
	}
	protocols := []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX}
	const withdrawn = "templates withdrawn,from=5s"
	sendTo := func(to netip.AddrPort, but ...string) {
		for _, p := range protocols {
			c, _ := allOnPurpose(t, p, but...)
			sendAll(t, c, to)
		}
	}
	t.Run("nfcapd", func(t *testing.T) {
		n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
		sendTo(n.Address)
		all := sendMarkers(t, n.Address)
		n.Stop()
		wantMarkers(t, n.Flows(), all)
	})
	t.Run("nfacctd", func(t *testing.T) {
		n := judge.StartNfacctd(t, judge.NfacctdConfig{Records: 30_000})
		sendTo(n.Address, withdrawn)
		all := sendMarkers(t, n.Address)
		n.StopQuiet(3 * time.Second)
		wantMarkers(t, n.Flows(), all)
	})
	t.Run("goflow2", func(t *testing.T) {
		messages, all := markers()
		for _, p := range protocols {
			c, _ := allOnPurpose(t, p, withdrawn)
			s := run(t, t.Context(), c)
			for _, m := range messages {
				s.datagrams = append(s.datagrams, judge.Datagram{Data: m})
			}
			flows, _ := judge.Goflow2(s.datagrams) // its errors are those of missing templates
			wantMarkers(t, flows, all)
		}
	})
}
