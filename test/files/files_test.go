package files

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/process"
	"cacheflow/test/traffic"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }

// capture writes 400 s of traffic.
func capture(t *testing.T, packets, flows int) (path string, truth traffic.Sum) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "traffic.pcap")
	all, err := traffic.WriteFile(path, traffic.Spec{
		Packets: packets, Flows: flows, Zipf: 1.1, IPv6: 20, Lifelike: true, Seed: 1, Interval: 400 * time.Second / time.Duration(packets), Snap: 96,
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, all.Total()
}

// configure writes a configuration with one exporter to files below dir, and returns its
// path and theirs.
func configure(t *testing.T, dir, name, rotate string) (config, path string) {
	t.Helper()
	path, config = filepath.Join(dir, name), filepath.Join(t.TempDir(), "cacheflow.yaml")
	text := "flow-exporter:\n  - name: files\n    file: {path: '" + path + "', rotate: {" + rotate + "}}\n" +
		"    option: {sampler-table: off, exporter-stats: off, reliability: off, flow-keys: off}\n" // sequence numbers then count flows
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, path
}

// names returns the names in dir in the order in which the files were written: that of their
// times, and then of their numbers.
func names(t *testing.T, dir string) (complete, parts []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	order := map[string]string{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".part") {
			parts = append(parts, filepath.Join(dir, e.Name()))
			continue
		}
		stem, _, _ := strings.Cut(e.Name(), ".")
		at, number, _ := strings.Cut(stem, "-")
		order[at+strings.Repeat("0", 9-len(number))+number] = filepath.Join(dir, e.Name())
	}
	for _, key := range slices.Sorted(maps.Keys(order)) {
		complete = append(complete, order[key])
	}
	return complete, parts
}

// read unpacks a file.
func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err == nil {
		b, err = io.ReadAll(z)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

// number reads network byte order.
func number(b []byte) (n int) {
	for _, octet := range b {
		n = n<<8 | int(octet)
	}
	return n
}

// decode decodes a complete file with goflow2, as a Transport Session of its own: each
// message, and sequence numbers that begin at 0 and count the records.
func decode(t *testing.T, path string) []judge.Flow {
	t.Helper()
	var messages []judge.Datagram
	for b := read(t, path); len(b) > 0; {
		if len(b) < 16 || number(b[:2]) != 10 || number(b[2:4]) > len(b) {
			t.Fatalf("%s: half a message under a final name", path)
		}
		n := number(b[2:4])
		messages = append(messages, judge.Datagram{Data: b[:n]})
		b = b[n:]
	}
	if len(messages) == 0 {
		t.Fatalf("%s is empty", path)
	}
	flows, err := judge.Goflow2(messages)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	// The sequence number of the last message is that of the records before it.
	first, last := messages[:1], messages[len(messages)-1:]
	behind, err := judge.Goflow2(append(first[:1:1], last...))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	alone, _ := judge.Goflow2(first)
	sequence := func(d judge.Datagram) int { return number(d.Data[8:12]) }
	if sequence(first[0]) != 0 || len(messages) > 1 && sequence(last[0]) != len(flows)-(len(behind)-len(alone)) {
		t.Fatalf("%s: sequence numbers %d to %d with %d records", path, sequence(first[0]), sequence(last[0]), len(flows))
	}
	return flows
}

// listen returns the JSON of the records that `cacheflow listen` finds in files.
func listen(t *testing.T, paths ...string) []byte {
	t.Helper()
	out := process.Run(t, exec.Command(binary.Path(t), append([]string{"listen", "-o", "json"}, paths...)...))
	var flows []byte
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte(`{"options":true`)) {
			flows = append(flows, line...)
		}
	}
	return flows
}

// TestTshark: Wireshark reads our files as files of their own format, without a complaint,
// and sees every record.
func TestTshark(t *testing.T) {
	process.Need(t, "tshark")
	in, truth := capture(t, 20_000, 3000)
	for _, name := range []string{"flows.ipfix", "flows.ipfix.gz"} {
		path := filepath.Join(t.TempDir(), name)
		process.Run(t, exec.Command(binary.Path(t), "replay", in, "--sample", "1", "-e", "file:"+path))
		tshark := func(args ...string) string {
			return string(process.Run(t, exec.Command("tshark", append([]string{"-n", "-r", path}, args...)...)))
		}
		if complaints := tshark("-Y", "_ws.malformed || _ws.expert || !cflow || cflow.no_template_found"); complaints != "" {
			t.Errorf("%s: tshark complains:\n%.2000s", name, complaints)
		}
		var got uint64
		for field := range strings.FieldsFuncSeq(tshark("-T", "fields", "-e", "cflow.packets"), func(r rune) bool { return r == ',' || r == '\n' }) {
			n, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if got != truth.Packets {
			t.Errorf("%s: tshark sees %d packets of %d", name, got, truth.Packets)
		}
	}
}

// TestReplayOfFiles: the records of a file reach another file by way of the cache, with
// every packet and their routes.
func TestReplayOfFiles(t *testing.T) {
	in, truth := capture(t, 20_000, 3000)
	first, second := filepath.Join(t.TempDir(), "first.ipfix.gz"), filepath.Join(t.TempDir(), "second.json")
	process.Run(t, exec.Command(binary.Path(t), "replay", in, "-e", "file:"+first))
	ledger := filepath.Join(t.TempDir(), "ledger.json")
	process.Run(t, exec.Command(binary.Path(t), "replay", first, "-e", "file:"+second, "--ledger", ledger))
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	flows, err := judge.ReadJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if sum := judge.Add(flows); sum.Packets != truth.Packets || sum.Octets != truth.Octets {
		t.Errorf("%d packets and %d octets of %+v", sum.Packets, sum.Octets, truth)
	}
	closes(t, ledger)
}

// closes checks that a ledger closes at zero, and returns how many records were written and
// dropped.
func closes(t *testing.T, path string) (sent, dropped uint64) {
	t.Helper()
	var l struct {
		Balance []struct {
			Scope      string
			Difference int64
		}
		Exporters []struct {
			Sent    struct{ Count uint64 }
			Dropped []struct {
				Reason string
				Count  uint64
			}
		}
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Balance) == 0 {
		t.Error("the ledger has no balance")
	}
	for _, i := range l.Balance {
		if i.Difference != 0 {
			t.Errorf("the ledger does not close: %+v", i)
		}
	}
	for _, e := range l.Exporters {
		sent += e.Sent.Count
		for _, d := range e.Dropped {
			if d.Reason != "file not written" {
				t.Errorf("dropped: %+v", d)
			}
			dropped += d.Count
		}
	}
	return sent, dropped
}
