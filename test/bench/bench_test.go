package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/traffic"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }

const million = 1_000_000

// BenchmarkReplay runs the program on a file of a million packets in 50 000
// flows, its start included.
func BenchmarkReplay(b *testing.B) {
	file := filepath.Join(b.TempDir(), "traffic.pcap")
	spec := traffic.Spec{Packets: million, Flows: 50_000, Zipf: 1.1, Size: 60, Seed: 1, Interval: time.Microsecond}
	if _, err := traffic.WriteFile(file, spec); err != nil {
		b.Fatal(err)
	}
	program := binary.Path(b)
	for b.Loop() {
		if out, err := exec.Command(program, "replay", "-o", "none", "--ledger", os.DevNull, file).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	b.ReportMetric(float64(b.N)*million/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}
