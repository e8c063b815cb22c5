package export

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// inClear is a Handshaker that ciphers nothing, and fails as it is told: at its second call.
type inClear struct {
	calls *atomic.Int32
	fails error
}

func (h inClear) Handshake(_ context.Context, conn *net.UDPConn, _ int, _ *tls.Config) (net.Conn, error) {
	if h.calls.Add(1) == 2 && h.fails != nil {
		return nil, h.fails
	}
	return conn, nil
}

// anybody is an identity for inClear.
var anybody = identity(func() (*tls.Config, error) { return &tls.Config{}, nil })

// TestAssociations: a new association takes the place of one that is old. It begins with
// templates, comes from the same port, and the sequence numbers go on; unless there was a
// collector that did not answer: then it is a new Transport Session.
func TestAssociations(t *testing.T) {
	for name, c := range map[string]struct {
		fails error
		moves bool
	}{
		"at once":        {nil, false},
		"after refusal":  {opError(syscall.ECONNREFUSED), false},
		"after silence":  {context.DeadlineExceeded, true},
		"after a reason": {errors.New("unknown authority"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := listen(t, "127.0.0.1:0")
			h := inClear{new(atomic.Int32), c.fails}
			e := startExporter(t, Config{
				Protocol: IPFIX, Transport: DTLS, Address: conn.LocalAddr().String(), Identity: anybody, Handshaker: h,
				TemplateInterval: 300 * time.Millisecond, Reconnect: 50 * time.Millisecond, Logger: testLogger(t),
			})
			d := newCollector(t)
			e.Put(records(1))
			first := d.receiveFrom(conn, 1)
			for h.calls.Load() < 2 || !e.Up() {
				e.Put(records(10))
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
			e.Put(records(10))
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := checkLedger(t, e)
			last := d.receiveFrom(conn, s.Made.Records)
			if s.Sent != s.Made || d.sums() != s.Made {
				t.Errorf("received %+v of %+v", d.sums(), s.Made)
			}
			if moved := first != last; moved != c.moves {
				t.Errorf("from %s and then %s", first, last)
			}
			checkSessions(t, d.messages, int(min(2, h.calls.Load())), c.moves)
		})
	}
}

// checkSessions wants templates alone at the beginning of each of n associations, and
// sequence numbers that begin at 0 with the first, or with each.
func checkSessions(t *testing.T, messages []decoded, n int, restarts bool) {
	t.Helper()
	sequence, begun := uint32(0), 0
	for i := range messages {
		m := &messages[i]
		if len(m.templateIDs()) > 0 && len(m.records()) == 0 {
			if begun++; restarts {
				sequence = 0
			}
		}
		if m.sequence != sequence {
			t.Errorf("message %d: sequence %d, want %d", i, m.sequence, sequence)
		}
		sequence += uint32(len(m.records()) + len(m.options()))
	}
	if begun < n || slices.ContainsFunc(messages[:1], func(m decoded) bool { return len(m.templateIDs()) == 0 }) {
		t.Errorf("%d messages of templates, want at least %d", begun, n)
	}
}

// TestAssociationIsLost: who refuses has nobody who knows of the association. What was being
// sent is declared, and the rest waits for the next one.
func TestAssociationIsLost(t *testing.T) {
	conn := listen(t, "127.0.0.1:0")
	h := inClear{calls: new(atomic.Int32)}
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: DTLS, Address: conn.LocalAddr().String(), Identity: anybody, Handshaker: h,
		Reconnect: 500 * time.Millisecond, Logger: testLogger(t),
	})
	e.Put(records(1))
	newCollector(t).receiveFrom(conn, 1)
	conn.Close()
	for h.calls.Load() < 2 {
		e.Put(records(10))
		time.Sleep(10 * time.Millisecond)
	}
	if s := checkLedger(t, e); s.Refusals > 0 || s.Failed[Hangup].Count > 2 || s.NotSent() != s.Dropped[Hangup] || s.Sent.Records > 30 {
		t.Errorf("sent %+v, failed %+v", s.Sent, s.Failed)
	}
}
