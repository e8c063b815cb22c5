package ios

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/control"
)

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "    0", 7435: " 7435", 99_999: "99999", 100_000: " 100K", 1_234_567: "1234K", 9_999_999: "9999K",
		10_000_000: "  10M", 9_999_999_999: "9999M", 10_000_000_000: "  10G", 1 << 63: "9223P",
	} {
		if got := column5(n); got != want || len(got) != 5 {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                    "00:00:00",
		6*time.Minute + 13*time.Second + 999: "00:06:13",
		24*time.Hour - 1:                     "23:59:59",
		49 * time.Hour:                       "2d01h",
		15 * 24 * time.Hour:                  "2w1d",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestPerSecond(t *testing.T) {
	for _, tt := range []struct {
		n, ms uint64
		want  string
	}{
		{0, 0, "0.0"}, {5, 0, "0.0"}, {1, 1, "1000.0"}, {718, 5_850_000, "0.1"}, {199, 100_000, "1.9"},
		{1 << 62, 1 << 62, "1000.0"}, {1e18, 1e9, "1000000000000.0"},
	} {
		if got := perSecond(tt.n, tt.ms).String(); got != tt.want {
			t.Errorf("%d in %d ms: %s, want %s", tt.n, tt.ms, got, tt.want)
		}
	}
}

// TestThousandths pins truncation with figures that routers printed: of 47
// packets 6, 9 and 26 are .127, .191 and .553.
func TestThousandths(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 0, 6: 127, 9: 191, 26: 553} {
		if got := thousandths(n, 47); got != want {
			t.Errorf("%d of 47: %d, want %d", n, got, want)
		}
	}
	if got := thousandths(1<<62, 1<<63); got != 500 {
		t.Errorf("of huge figures: %d", got)
	}
}

// TestBytes pins the printed size of the cache with figures that routers printed.
func TestBytes(t *testing.T) {
	for entries, want := range map[int]string{
		4096:   "IP Flow Switching Cache, 278544 bytes\n",
		65536:  "IP Flow Switching Cache, 4456704 bytes\n",
		262144: "IP Flow Switching Cache, 17826816 bytes\n",
	} {
		contains(t, entries, want)
	}
	contains(t, 4096, "IP Sub Flow Cache, 34056 bytes\n  0 active, 1024 inactive, 0 added, 0 added to flow\n")
	contains(t, 65536, "IP Sub Flow Cache, 533256 bytes\n  0 active, 16384 inactive, 0 added, 0 added to flow\n")
}

func contains(t *testing.T, entries int, want string) {
	t.Helper()
	var b bytes.Buffer
	if err := CacheFlow(&b, &control.Cache{Statistics: control.Statistics{Entries: entries}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), want) {
		t.Errorf("%d entries: no %q in\n%s", entries, want, b.String())
	}
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{
		"GigabitEthernet0/1": "Gi0/1", "FastEthernet0/0/0": "Fa0/0/0", "Ethernet1/0.100": "Et1/0.100", "Serial0/0:0.101": "Se0/0:0.101",
		"eth0": "eth0", "enp0s31f6": "enp0s31f6", "Serial": "Serial", "Tunnelbroker": "Tunnelbroker", "br-0123456789ab": "br-0123456789",
		"TenGigabitEthernet1/1/1": "Te1/1/1", "": "",
	} {
		if got := shortName(name, nameWidth); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
