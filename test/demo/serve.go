//go:build linux

package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// page is what the HTTP server answers: 64 KiB, some fifty packets.
var page = strings.Repeat("a page of the demonstration server\n", 1872)

// serve answers HTTP on TCP port 80 and DNS on UDP port 53 until ctx ends.
func serve(ctx context.Context) error {
	dns, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	web := &http.Server{Addr: ":80", ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(page))
	})}
	go func() {
		<-ctx.Done()
		dns.Close()
		web.Close()
	}()
	go answerDNS(dns)
	if err := web.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// answerDNS says that every name is the server's own.
func answerDNS(conn net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply, err := answer(buf[:n]); err == nil {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, err
	}
	m.Response, m.Authoritative = true, true
	m.Additionals = nil
	q := m.Questions[0]
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}}
	switch q.Type {
	case dnsmessage.TypeA:
		r.Body = &dnsmessage.AResource{A: netip.MustParseAddr("10.20.0.2").As4()}
	case dnsmessage.TypeAAAA:
		r.Body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("fd00:20::2").As16()}
	}
	if r.Body != nil {
		m.Answers = []dnsmessage.Resource{r}
	}
	return m.Pack()
}
