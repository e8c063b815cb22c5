package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A line tells of each jump of the wall clock, by how much; what a clock is slewed
// by is none.
func TestWatchClock(t *testing.T) {
	steps := []time.Duration{0, 0, 500 * time.Microsecond, 999 * time.Millisecond, time.Hour, 0, -time.Hour, -1234 * time.Millisecond, time.Second, 0}
	want := []string{"1h0m0s", "-1h0m0s", "-1.2s", "1s"}
	var said bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		epoch, begun := int64(1.7e18), time.Now()
		next := steps
		step := func() int64 {
			epoch += int64(next[0])
			if next = next[1:]; len(next) == 0 {
				cancel()
			}
			return epoch
		}
		if err := watchClock(ctx, step, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != time.Duration(len(steps)-1)*lookPeriod {
			t.Errorf("%d looks within %v", len(steps), took)
		}
	})
	var got []string
	for _, line := range regexp.MustCompile(`(?m)^.* level=WARN msg="the wall clock jumped; .*" by=(\S+)$`).FindAllStringSubmatch(said.String(), -1) {
		got = append(got, line[1])
	}
	if !slices.Equal(got, want) || bytes.Count(said.Bytes(), []byte("\n")) != len(want) {
		t.Errorf("steps by %v: said %q, want a line for each of %v", steps, &said, want)
	}
}
