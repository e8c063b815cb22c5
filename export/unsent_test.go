package export

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// barred is a way to the collector that is open from the start or only some time after, and
// counts what was tried before.
type barred struct {
	*fakeSocket
	open  time.Time
	tries int
}

func bar(open time.Duration) *barred {
	b := &barred{fakeSocket: &fakeSocket{}, open: time.Now().Add(open)}
	b.write = func(int) error {
		if time.Now().Before(b.open) {
			b.tries++
			return opError(syscall.EPERM)
		}
		return nil
	}
	return b
}

// decode has goflow2 read what came; it complains of records without a template.
func (b *barred) decode(t *testing.T) *collector {
	c := newCollector(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.sent {
		c.receive(d)
	}
	return c
}

// unsentConfig has the exporter's options come as often as shows that they wait for their
// templates.
func unsentConfig(p Protocol) Config {
	begin := time.Now()
	return Config{
		Protocol: p, Epoch: func() time.Time { return testEpoch },
		Now:     func() flow.Time { return flow.Time(time.Hour) + flow.Time(time.Since(begin)) },
		Options: OptionIntervals{SamplerTable: Off, Reliability: time.Second},
	}
}

// Templates that could not leave, as when a firewall or the network is up later than the
// exporter, lead the first records that can.
func TestTemplatesThatCouldNotLeave(t *testing.T) {
	for _, p := range bothTemplated {
		synctest.Test(t, func(t *testing.T) {
			b := bar(3500 * time.Millisecond)
			e := withSocket(t, b, unsentConfig(p))
			go e.Run(t.Context())
			for range 3 { // at 0, 2 and 4 s: the first two are lost
				e.Put(records(10))
				time.Sleep(2 * time.Second)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := b.decode(t).sums().Records
			if s := checkLedger(t, e); got != 10 || s.Sent.Records != 10 || s.Dropped[NotPermitted].Records != 20 {
				t.Errorf("%v: %d records are read of %+v", p, got, s)
			}
		})
	}
}

// While there is nothing to lead they are tried again each second, and not more often.
func TestTemplatesThatCouldNotLeaveAlone(t *testing.T) {
	for _, p := range bothTemplated {
		synctest.Test(t, func(t *testing.T) {
			const shut = 10500 * time.Millisecond
			b := bar(shut)
			e := withSocket(t, b, unsentConfig(p))
			go e.Run(t.Context())
			time.Sleep(shut + 3*time.Second)
			c := b.decode(t)
			if len(c.messages) != 3 || len(c.messages[0].templateIDs()) < 3 || len(c.messages[1].templateIDs()) != 0 {
				t.Errorf("%v: %d messages in 3 s, want templates, and then options each second", p, len(c.messages))
			}
			if b.tries != 11 {
				t.Errorf("%v: %d tries in 10.5 s, want one a second", p, b.tries)
			}
			if err := e.Shutdown(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
				t.Fatal(err)
			}
		})
	}
}

// What an exporter says at its end leaves with templates where those never did.
func TestTemplatesThatCouldNotLeaveAtTheEnd(t *testing.T) {
	for _, p := range bothTemplated {
		synctest.Test(t, func(t *testing.T) {
			b := bar(100 * time.Millisecond)
			e := withSocket(t, b, unsentConfig(p))
			go e.Run(t.Context())
			time.Sleep(200 * time.Millisecond)
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if last := len(b.decode(t).messages); last != 2 {
				t.Errorf("%v: %d messages, want templates and statistics", p, last)
			}
		})
	}
}

// closed is a port where nobody listens until some time after the start: a datagram seems to
// leave, and the next one meets the answer (udp(7)).
type closed struct {
	*barred
	answered bool
}

func (c *closed) Write(b []byte) (int, error) {
	if c.answered {
		c.answered = false
		return 0, opError(syscall.ECONNREFUSED)
	}
	n, err := c.barred.Write(b)
	if err != nil {
		c.answered = true
		return len(b), nil
	}
	return n, err
}

// A collector that opens its port has templates before the first records, which are not lost
// though they meet the answer to what was sent before; and within a second where there are none.
func TestTemplatesAfterRefusal(t *testing.T) {
	for _, p := range bothTemplated {
		for _, n := range []int{0, 5} {
			synctest.Test(t, func(t *testing.T) {
				b := bar(4500 * time.Millisecond)
				cfg := unsentConfig(p)
				cfg.Options = noOptions // which the collector may have before its templates
				e := withSocket(t, &closed{barred: b}, cfg)
				go e.Run(t.Context())
				e.Put(records(10))
				time.Sleep(4400 * time.Millisecond)
				e.Put(records(n)) // they leave a second later, as their message is not full
				time.Sleep(1500 * time.Millisecond)
				c := b.decode(t)
				if len(c.messages) == 0 || len(c.messages[0].templateIDs()) < 3 {
					t.Fatalf("%v: no templates first in %d messages", p, len(c.messages))
				}
				got := c.sums().Records
				if s := e.Stats(); got != uint64(n) || s.Dropped[Refused].Records != 0 || s.Refusals > 8 { // one a second, and those of the first records
					t.Errorf("%v: %d of %d records are read; %+v", p, got, n, s)
				}
				if err := e.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// Options that follow templates which could not leave, in messages of their own, come with
// them again: they are not due a minute later.
func TestOptionsThatCouldNotLeave(t *testing.T) {
	interfaces := make([]Interface, 40) // 4000 octets
	for i := range interfaces {
		interfaces[i] = Interface{Index: uint32(i + 1), Name: "eth", Description: "one of many"}
	}
	for _, p := range bothTemplated {
		for _, shut := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				b := bar(shut)
				cfg := unsentConfig(p)
				cfg.Options = OptionIntervals{}
				cfg.InterfaceTable = func() []Interface { return interfaces }
				e := withSocket(t, b, cfg)
				go e.Run(t.Context())
				time.Sleep(shut + 2*time.Second)
				c := b.decode(t)
				if n := len(c.optionsWith(interfaceName)); n != len(interfaces) {
					t.Errorf("%v, after %v: %d interfaces have names, want %d once", p, shut, n, len(interfaces))
				}
				if n := len(c.optionsWith(exportedMessageTotalCount)); n != 1 {
					t.Errorf("%v, after %v: %d statistics, want 1", p, shut, n)
				}
				if err := e.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
