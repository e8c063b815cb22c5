package export

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// dtlsOverhead is what DTLS 1.2 adds to a message at most: a record's header (RFC 6347
// §4.1), and the explicit nonce and the tag of AES-GCM (RFC 5288 §3).
const dtlsOverhead = 13 + 8 + 16

// maxFragment is the most that a record can carry (RFC 5246 §6.2.1).
const maxFragment = 1 << 14

// Handshaker agrees on DTLS 1.2 with a collector, which the standard library cannot. It is
// a value, so that configurations can be compared.
type Handshaker interface {
	// Handshake secures conn, which is connected, until ctx ends, and sends no datagram of
	// more than size octets.
	//
	// A Write to what it returns is one datagram, longer by 37 octets at most, and
	// its errors wrap those of conn. A Read ends with io.EOF when the collector has hung up,
	// and else returns errors of conn, as often as there are any. Close tells the collector,
	// and closes conn; so does the caller after an error.
	Handshake(ctx context.Context, conn *net.UDPConn, size int, cfg *tls.Config) (net.Conn, error)
}

// An association is a datagram socket that DTLS secures. Only the reader's goroutine is
// not that of the exporter.
//
// Nothing tells whether the collector still knows of it: one that has restarted since drops
// what it cannot decipher (RFC 6347 §4.1.2.7). Where its port was closed meanwhile, a
// message has met with an ICMP error. Else it has to wait for the next association, which
// comes as often as templates do by UDP.
type association struct {
	net.Conn               // secured
	gone     chan struct{} // closed when the collector has hung up
	why      error         // then says why; nil for an orderly end
	failed   error         // of a Write
	until    time.Time     // when another one takes its place
}

// associate secures conn, from which nothing is sent in clear but the handshake.
func (c *Config) associate(ctx context.Context, conn *net.UDPConn) (socket, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errors.New("the collector does not answer"))
	defer cancel()
	var secured net.Conn
	cfg, err := c.identify()
	if err == nil {
		secured, err = c.Handshaker.Handshake(ctx, conn, c.MTU, cfg)
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, err
	}
	a := &association{Conn: secured, gone: make(chan struct{})}
	a.until = c.associationEnd()
	go a.listen()
	return a, nil
}

// associationEnd is when another association is to take the place of one that begins now.
func (c *Config) associationEnd() time.Time {
	return time.Now().Add(max(c.TemplateInterval, c.Reconnect))
}

// listen reads until the collector hangs up: it has nothing to say.
func (a *association) listen() {
	defer close(a.gone)
	b := make([]byte, maxFragment)
	for {
		switch _, err := a.Read(b); {
		case err == nil, isPassing(classify(err)):
		case errors.Is(err, io.EOF):
			return
		default:
			a.why = err
			return
		}
	}
}

// isPassing tells what may become of one datagram and not of the next.
func isPassing(why Reason) bool {
	return why == Unreachable || why == BufferFull || why == TooLong || why == NotPermitted
}

func (a *association) ended() <-chan struct{} { return a.gone }

// isGone reports whether the association is lost, or old.
func (a *association) isGone() bool { return a.isLost() || a.isOld() }

func (a *association) isOld() bool { return !time.Now().Before(a.until) }

// isLost reports whether the collector has hung up, or nothing can be written.
func (a *association) isLost() bool {
	select {
	case <-a.gone:
		return true
	default:
		return a.failed != nil
	}
}

// isEndedBy notes the error of a Write, and reports whether the association is lost by it:
// whoever refuses (ICMP) has no process that knows of it.
func (a *association) isEndedBy(err error) bool {
	if !isPassing(classify(err)) {
		a.failed = err
	}
	return a.failed != nil
}

// cause returns why the association was lost, nil for an orderly end. That too can fail a
// Write, but not with an error of the kernel's.
func (a *association) cause() error {
	if errno := syscall.Errno(0); errors.As(a.failed, &errno) {
		return a.failed
	}
	return a.why
}

// postpones has an association go on that is only old, where there are no certificates for the
// next one.
func (s *sender) postpones() bool {
	a, e := s.secured, s.e
	if a == nil || a.isLost() {
		return false
	}
	_, err := e.cfg.identify()
	if err != nil {
		e.cfg.Logger.Warn("the association goes on: no certificates for the next one", "exporter", e.cfg.Name, "error", err)
		a.until = e.cfg.associationEnd()
	}
	return err != nil
}

// dissociate tells the collector that nothing more comes.
func (s *sender) dissociate(a *association) {
	e := s.e
	lost := a.isLost()
	if lost {
		e.disconnected() // an old one is about to be replaced
	}
	a.SetWriteDeadline(time.Now().Add(sendTimeout))
	a.Close()
	<-a.gone
	switch log := e.cfg.Logger.With("exporter", e.cfg.Name); {
	case !lost:
		e.quiet = true // it was old, or this is the end
	case e.draining.Err() != nil:
	case a.cause() != nil:
		log.Warn("the association was lost", "error", a.cause())
	default:
		log.Info("the collector hung up")
	}
}
