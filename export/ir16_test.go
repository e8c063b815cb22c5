package export

import (
	"testing"
	"time"
)

// IR-16: templates precede their data, lead the first packet with data, and go
// out again by packets and by time, whichever comes first (RFC 3954 §7, RFC
// 7011 §8 and §8.4).
func TestIR16(t *testing.T) {
	for _, p := range bothTemplated {
		t.Run(p.String(), func(t *testing.T) {
			t.Run("start", func(t *testing.T) { testTemplatesFirst(t, p) })
			t.Run("packets", func(t *testing.T) { testRefreshByPackets(t, p) })
			t.Run("time", func(t *testing.T) { testRefreshByTime(t, p) })
			t.Run("idle", func(t *testing.T) { testRefreshIdle(t, p) })
			t.Run("requested", func(t *testing.T) { testRefreshRequested(t, p) })
		})
	}
}

// testTemplatesFirst: first a message of templates alone, then one with
// templates and data. (goflow2 has an error where a template is missing, which
// fails the test.)
func testTemplatesFirst(t *testing.T, p Protocol) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: p, Options: noOptions}), 30)
	if m := c.messages[0]; len(m.templateIDs()) != 3 || len(m.records()) != 0 {
		t.Errorf("first message: %d templates, %d records", len(m.templateIDs()), len(m.records()))
	}
	if m := c.messages[1]; len(m.templateIDs()) != 3 || len(m.records()) == 0 {
		t.Errorf("second message: %d templates, %d records", len(m.templateIDs()), len(m.records()))
	}
	if m := c.messages[2]; len(m.templateIDs()) != 0 {
		t.Error("third message has templates again")
	}
	// An idle start, with a refresh before there is data.
	c = newCollector(t)
	s := c.session(Config{Protocol: p, Options: noOptions})
	s.SendTemplates(0)
	s.Tick(61e9)
	r := record4()
	s.Append(&r, 62e9)
	s.Flush(62e9)
	if m := c.messages[2]; len(c.messages) != 3 || len(m.templateIDs()) != 3 || len(m.records()) != 1 {
		t.Errorf("%d messages, the last with %d templates, %d records", len(c.messages), len(m.templateIDs()), len(m.records()))
	}
}

// ledBy returns the indexes of the messages with templates.
func (c *collector) ledBy() (is []int) {
	for i := range c.messages {
		if len(c.messages[i].templateIDs()) > 0 {
			is = append(is, i)
		}
	}
	return is
}

func testRefreshByPackets(t *testing.T, p Protocol) {
	c := newCollector(t)
	s := c.session(Config{Protocol: p, TemplatePackets: 10, TemplateInterval: time.Hour})
	feed(s, 2000)
	is := c.ledBy()
	for i := 2; i < len(is); i++ {
		if d := is[i] - is[i-1]; d != 10 {
			t.Fatalf("templates in message %d and then in %d", is[i-1], is[i])
		}
	}
	if len(is) < 10 {
		t.Errorf("templates in %d of %d messages", len(is), len(c.messages))
	}
}

func testRefreshByTime(t *testing.T, p Protocol) {
	c := newCollector(t)
	s := c.session(Config{Protocol: p, TemplatePackets: 1 << 30, TemplateInterval: 5 * time.Second})
	feed(s, 3000) // 30 s
	is := c.ledBy()
	if len(is) < 6 || len(is) > 8 {
		t.Errorf("%d messages with templates in 30 s, want every 5 s", len(is))
	}
}

func testRefreshIdle(t *testing.T, p Protocol) {
	c := newCollector(t)
	s := c.session(Config{Protocol: p, Options: noOptions})
	feed(s, 1)
	start := s.templatesAt
	n := len(c.messages)
	for now := start; now < start+300e9; now += 1e9 {
		s.Tick(now)
	}
	if got := len(c.messages) - n; got != 4 {
		t.Errorf("%d messages of templates in 300 s of silence, want 4", got)
	}
}

func testRefreshRequested(t *testing.T, p Protocol) {
	c := newCollector(t)
	s := c.session(Config{Protocol: p, Options: noOptions})
	feed(s, 100)
	n := len(c.messages)
	s.RequestTemplates()
	feed(s, 100)
	if m := c.messages[n]; len(m.templateIDs()) != 3 || len(m.records()) == 0 {
		t.Errorf("message after the request: %d templates, %d records", len(m.templateIDs()), len(m.records()))
	}
	if m := c.messages[n+1]; len(m.templateIDs()) != 0 {
		t.Error("one request led to templates twice")
	}
}
