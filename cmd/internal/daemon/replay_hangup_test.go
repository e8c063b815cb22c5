//go:build linux

package daemon

import (
	"context"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/export"
)

// scripted is an endless source that does something before some of its batches.
type scripted struct {
	endless
	batch  int
	script map[int]func()
}

func (s *scripted) Read(batch []flow.Packet) (int, flow.Time, error) {
	if do := s.script[s.batch]; do != nil {
		do()
	}
	s.batch++
	return s.endless.Read(batch)
}

// A replay's collector by TCP hangs up twice, and is called again each time: it has every
// record once that was not declared lost, and the account closes.
func TestReplayGoesOnAfterHangup(t *testing.T) {
	t.Parallel()
	c := (&stream{t: t, address: "127.33.6.1:4739"}).start()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	comeBack := func() {
		c.await("the exporter to call")
		c.stop()
		c.start()
	}
	r := &Replay{
		Source: &scripted{endless: endless{ctx: ctx}, script: map[int]func(){
			100: comeBack, 200: comeBack, 250: func() { c.await("the exporter to call") }, 300: end,
		}},
		Boot: time.Unix(1_700_000_000, 0), Cache: testCache(), Drain: 10 * time.Second,
		Exporters: []export.Config{ipfix("c", c.address, export.TCP)},
	}
	r.Cache.Inactive = time.Millisecond // a record for each packet
	l, err := r.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	if !l.Closes() {
		t.Errorf("the ledger does not close: %+v", l.Balance())
	}
	e, got := &l.Exporters[0], decode(t, c.received())
	for rec, n := range got {
		if n != 1 {
			t.Fatalf("%v is there %d times", rec, n)
		}
	}
	declared := uint64(0)
	for _, d := range e.Dropped {
		declared += d.Count
	}
	if l.Records.Count < 5000 || uint64(len(got)) != e.Sent.Count || e.Sent.Count+declared != l.Records.Count {
		t.Errorf("received %d, sent %d and declared %d of %d records", len(got), e.Sent.Count, declared, l.Records.Count)
	}
	t.Logf("sent %d, declared %d", e.Sent.Count, declared)
}
