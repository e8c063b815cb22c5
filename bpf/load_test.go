package bpf

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

func TestLoad(t *testing.T) {
	rlimit.RemoveMemlock()
	spec, err := LoadProgram()
	if err != nil {
		t.Fatal(err)
	}
	var o ProgramObjects
	at := time.Now()
	if err := spec.LoadAndAssign(&o, &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogSizeStart: 1<<26, LogLevel: ebpf.LogLevelStats}}); err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			for _, l := range v.Log[max(0, len(v.Log)-60):] {
				t.Log(l)
			}
		}
		t.Fatal(err)
	}
	t.Log(time.Since(at), o.CacheflowIngress.VerifierLog, o.CacheflowEgress.VerifierLog)
}
