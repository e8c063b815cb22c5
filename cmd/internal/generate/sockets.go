package generate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Sockets are the routers' ends of their exports: a UDP socket each, so that a collector sees as
// many Transport Sessions.
type Sockets struct {
	conns []*net.UDPConn
	// Refused counts how often the collector's host said that nobody listens. The datagram that
	// it is about has been sent.
	Refused uint64
}

// Dial opens sockets to a collector for n routers. Sources are as Config has them. Nothing is sent.
func Dial(collector netip.AddrPort, sources []netip.Addr, n int) (*Sockets, error) {
	s := &Sockets{}
	for i := range n {
		var local *net.UDPAddr
		if len(sources) > 0 {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(sources[i], 0))
		}
		conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(collector))
		if err != nil {
			s.Close()
			if local != nil && errors.Is(err, syscall.EADDRNOTAVAIL) {
				return nil, fmt.Errorf("router %d: %s is no address of this host (ip address add, or take any of 127.0.0.0/8)", i+1, sources[i])
			}
			return nil, fmt.Errorf("router %d: %w", i+1, err)
		}
		s.conns = append(s.conns, conn)
	}
	return s, nil
}

// Pauses for a device whose queue is full: 1, 2, 4 … 64 ms.
const pauses = 7

// Send sends a datagram of a router, counted from 0.
func (s *Sockets) Send(router int, datagram []byte) error {
	for refused, paused := false, 0; ; {
		_, err := s.conns[router].Write(datagram)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED) && !refused: // an earlier one's; this one has not been sent (udp(7))
			s.Refused++
			refused = true
		case errors.Is(err, syscall.ENOBUFS) && paused < pauses:
			time.Sleep(time.Millisecond << paused)
			paused++
		case err != nil:
			return fmt.Errorf("router %d: %w", router+1, err)
		default:
			return nil
		}
	}
}

// Close closes the sockets.
func (s *Sockets) Close() {
	for _, c := range s.conns {
		c.Close()
	}
}

// IsThisHost reports whether an address is of this host, so that what is sent to it stays here.
func IsThisHost(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(i net.Addr) bool {
		n, ok := i.(*net.IPNet)
		own, _ := netip.AddrFromSlice(n.IP)
		return ok && own.Unmap() == a.Unmap()
	})
}

// ParseSources returns the addresses of n routers: an address is that of all of them, and a
// prefix has one for each, from the address that is written, or from the first behind it where
// that is the prefix's zero.
func ParseSources(text string, n int) ([]netip.Addr, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		return slices.Repeat([]netip.Addr{a}, n), err
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, err
	}
	a := p.Addr()
	if a == p.Masked().Addr() && !p.IsSingleIP() {
		a = a.Next()
	}
	all := make([]netip.Addr, 0, n)
	for ; len(all) < n; a = a.Next() {
		if !p.Contains(a) {
			return nil, fmt.Errorf("%s has %d addresses for %d routers", text, len(all), n)
		}
		all = append(all, a)
	}
	return all, nil
}
