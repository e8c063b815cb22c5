package export

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// resolvePause is the least time between two lookups of a collector's name.
	resolvePause = 10 * time.Second
	// resolveTimeout bounds a lookup.
	resolveTimeout = 10 * time.Second
)

// resolve returns the addresses of host:port that source can reach by its family, of which
// there is one at least.
func (c *Config) resolve(ctx context.Context, network, address string, source netip.Addr) (all []netip.AddrPort, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	resolver := c.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	port, err := resolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if a = a.Unmap(); !source.IsValid() || a.Is4() == source.Unmap().Is4() {
			all = append(all, netip.AddrPortFrom(a, uint16(port)))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no address of the family of source %s", host, source)
	}
	return all, nil
}

// A resolver looks the name of a collector of datagrams up again and again, beside the
// sender, which a slow server of names does not hold up. A stream does so when it connects.
type resolver struct {
	e     *Exporter
	soon  chan struct{}       // capacity 1: the collector is not there
	found chan netip.AddrPort // capacity 1: it has moved
}

// newResolver returns nil where there is no name, or no clock.
func newResolver(e *Exporter) *resolver {
	host, _, _ := net.SplitHostPort(e.cfg.Address)
	if _, err := netip.ParseAddr(host); err == nil || e.cfg.Now == nil || e.cfg.Transport.isStream() || e.cfg.File.Path != "" {
		return nil
	}
	return &resolver{e, make(chan struct{}, 1), make(chan netip.AddrPort, 1)}
}

// run looks until ctx is done.
func (r *resolver) run(ctx context.Context) {
	for {
		if wait(ctx, min(resolvePause, r.e.cfg.ResolveAgain), nil) != nil ||
			wait(ctx, r.e.cfg.ResolveAgain-resolvePause, r.soon) != nil {
			return
		}
		r.look(ctx)
	}
}

// look finds out whether the collector has moved: its address is no longer among those of
// its name. An answer that cannot be had says nothing.
func (r *resolver) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	e := r.e
	all, err := e.cfg.resolve(ctx, "udp", e.cfg.Address, e.cfg.Source)
	if err != nil {
		e.cfg.Logger.Debug("collector's name not resolved again", "exporter", e.cfg.Name, "error", err)
		return
	}
	if now, _ := e.RemoteAddr(); slices.Contains(all, now) {
		return
	}
	select {
	case r.found <- all[0]:
		notify(e.wake)
	default: // the sender has not taken the one before
	}
}

// resolveBeside runs the resolver, if there is one, until what it returns is called.
func (s *sender) resolveBeside() (stop func()) {
	if s.names == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	running.Go(func() { s.names.run(ctx) })
	return func() { cancel(); running.Wait() }
}

// hurry has the name looked up soon. A nil resolver does nothing.
func (r *resolver) hurry() {
	if r != nil {
		notify(r.soon)
	}
}

// relocate begins a new Transport Session where the collector has moved: from another port,
// templates and options first, and sequence numbers from 0 (RFC 7011 §3.1, §8.4). The open
// message belongs to the old one.
func (s *sender) relocate() {
	if s.names == nil {
		return
	}
	select {
	case to := <-s.names.found:
		if s.secured != nil {
			s.e.remote, s.secured.until = to, time.Now() // renew goes there
			return
		}
		sock, err := s.e.dial(s.ctx, to.String(), netip.AddrPortFrom(s.e.cfg.Source, 0))
		if err != nil {
			s.e.cfg.Logger.Warn("collector has moved, and cannot be reached", "exporter", s.e.cfg.Name, "collector", to, "error", err)
			return
		}
		s.session.Flush(s.present())
		s.depart()
		s.sock.Close()
		s.use(sock)
		s.downAt, s.trouble = time.Time{}, None
		s.session.restart()
		s.e.reached(sock)
		s.greet()
	default:
	}
}
