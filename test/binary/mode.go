package binary

import "testing"

// Mode is a way to capture, as `run --capture` takes it.
type Mode string

const (
	EBPF     Mode = "ebpf"
	AFPacket Mode = "afpacket"
)

// InBothModes runs a test for each way to capture, as a subtest of its name.
func InBothModes(t *testing.T, test func(*testing.T, Mode)) {
	for _, m := range []Mode{EBPF, AFPacket} {
		t.Run(string(m), func(t *testing.T) { test(t, m) })
	}
}
