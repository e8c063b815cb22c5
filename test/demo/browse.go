//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	pages = 3
	pings = 4
)

// browse uses the servers at these addresses, then sends a datagram where no
// route leads.
func browse(hosts []string) error {
	for _, host := range hosts {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return err
		}
		if err := waitForServer(a); err != nil {
			return err
		}
		if err := lookup(a); err != nil {
			return fmt.Errorf("DNS: %w", err)
		}
		for range pages {
			if err := fetch(a); err != nil {
				return fmt.Errorf("HTTP: %w", err)
			}
		}
		rtt, err := ping(a)
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		fmt.Printf("%-12s %d pages of %d octets, a DNS answer, %d pings (last %v)\n", a, pages, len(page), pings, rtt.Round(time.Microsecond))
	}
	lost, err := net.Dial("udp", "198.51.100.1:9")
	if err != nil {
		return err
	}
	defer lost.Close()
	if _, err := lost.Write([]byte("nobody there")); err != nil {
		return err
	}
	fmt.Println("198.51.100.1 a datagram that the gateway has no route for")
	return nil
}

// waitForServer returns once the server accepts connections.
func waitForServer(a netip.Addr) (err error) {
	for range 100 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", netip.AddrPortFrom(a, 80).String(), time.Second); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// lookup asks the server itself for a name.
func lookup(a netip.Addr) error {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", netip.AddrPortFrom(a, 53).String())
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := r.LookupHost(ctx, "www.example.net")
	return err
}

// fetch gets the page over a connection of its own.
func fetch(a netip.Addr) error {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + netip.AddrPortFrom(a, 80).String() + "/")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// ping sends echo requests and waits for each reply; it returns the last's time.
func ping(a netip.Addr) (rtt time.Duration, err error) {
	network, protocol, request := "ip4:icmp", 1, icmp.Type(ipv4.ICMPTypeEcho)
	reply := icmp.Type(ipv4.ICMPTypeEchoReply)
	if a.Is6() {
		network, protocol, request, reply = "ip6:ipv6-icmp", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	conn, err := icmp.ListenPacket(network, "")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buf := make([]byte, 1500)
	for seq := 1; seq <= pings; seq++ {
		m := icmp.Message{Type: request, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq, Data: make([]byte, 56)}}
		b, err := m.Marshal(nil)
		if err != nil {
			return 0, err
		}
		sent := time.Now()
		if _, err := conn.WriteTo(b, &net.IPAddr{IP: a.AsSlice()}); err != nil {
			return 0, err
		}
		if err := conn.SetReadDeadline(sent.Add(2 * time.Second)); err != nil {
			return 0, err
		}
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return 0, err
			}
			if got, err := icmp.ParseMessage(protocol, buf[:n]); err == nil && got.Type == reply && got.Body.(*icmp.Echo).Seq == seq {
				break
			}
		}
		rtt = time.Since(sent)
	}
	return rtt, nil
}
