package generate

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Scope is which datagrams a fault is about.
type Scope struct {
	// From and To bound it in the traffic's time, since its start; To 0 is the end.
	From, To time.Duration
	Exporter uint32 // 0 is all
}

// parse reads from=, to= or exporter=.
func (s *Scope) parse(key, value string) (err error) {
	switch key {
	case "from":
		s.From, err = time.ParseDuration(value)
	case "to":
		s.To, err = time.ParseDuration(value)
	case "exporter":
		s.Exporter, err = parseExporter(value)
	default:
		err = fmt.Errorf("unknown %q", key)
	}
	return err
}

// parseExporter reads the number of one.
func parseExporter(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("exporter %q: want 1 to %d", text, MaxRouters)
	}
	return uint32(n), nil
}

func (s Scope) from() time.Duration { return s.From }

func (s *Scope) check() error {
	if s.From < 0 || s.To < 0 || s.To != 0 && s.To <= s.From {
		return fmt.Errorf("from %v to %v: want an end behind the beginning", s.From, s.To)
	}
	return nil
}

// checkSeconds has the scope begin and end where routers can send something of their own accord.
func (s *Scope) checkSeconds() error {
	if s.From%time.Second != 0 || s.To%time.Second != 0 {
		return errors.New("want whole seconds")
	}
	return s.check()
}

// String returns what parse reads, each behind a comma.
func (s *Scope) String() (text string) {
	if s.From != 0 {
		text += ",from=" + s.From.String()
	}
	if s.To != 0 {
		text += ",to=" + s.To.String()
	}
	if s.Exporter != 0 {
		text += fmt.Sprintf(",exporter=%d", s.Exporter)
	}
	return text
}

// covers reports whether it has a datagram of an exporter that is due so long after the start.
func (s *Scope) covers(exporter uint32, at time.Duration) bool {
	return at >= s.From && (s.To == 0 || at < s.To) && (s.Exporter == 0 || s.Exporter == exporter)
}
