package dtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"

	"cacheflow/export"
)

// Client is an exporter's side, which is the client's (RFC 7011 §11.2).
type Client struct{}

var _ export.Handshaker = Client{}

// suites have forward secrecy and authenticate what they encrypt (RFC 9325 §4.2).
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// handshakeHeaders is what a fragment of a handshake message has before it, and after it
// where it is encrypted: a record's and its own header (RFC 6347 §4.1, §4.2.2), nonce, tag.
const handshakeHeaders = 13 + 12 + 8 + 16

// settling is how long nothing is sent after a handshake. A server that is made of pion has
// sent its Finished some time before it takes data, and loses what comes in between: the
// templates.
const settling = 100 * time.Millisecond

// Handshake implements export.Handshaker. Of cfg it takes the certificates, the CAs, the
// server's name, VerifyConnection, and KeyLogWriter.
func (Client) Handshake(ctx context.Context, conn *net.UDPConn, size int, cfg *tls.Config) (net.Conn, error) {
	options := []dtls.ClientOption{
		dtls.WithCipherSuites(suites...), dtls.WithMTU(size - handshakeHeaders),
		dtls.WithRootCAs(cfg.RootCAs), dtls.WithServerName(cfg.ServerName),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard}),
	}
	if len(cfg.Certificates) > 0 {
		options = append(options, dtls.WithCertificates(cfg.Certificates...))
	}
	if cfg.KeyLogWriter != nil {
		options = append(options, dtls.WithKeyLogWriter(cfg.KeyLogWriter))
	}
	if verify := cfg.VerifyConnection; verify != nil {
		options = append(options, dtls.WithVerifyConnection(func(s *dtls.State) error {
			state, err := connectionState(s)
			if err != nil {
				return err
			}
			return verify(state)
		}))
	}
	socket := connected{conn, sync.OnceValue(conn.Close)}
	c, err := dtls.ClientWithOptions(socket, conn.RemoteAddr(), options...)
	if err != nil {
		return nil, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	select {
	case <-time.After(settling):
	case <-ctx.Done():
	}
	return secured{c, socket}, nil
}

// connectionState returns what VerifyConnection looks at.
func connectionState(s *dtls.State) (state tls.ConnectionState, err error) {
	state.Version = tls.VersionTLS12
	for _, der := range s.PeerCertificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return state, err
		}
		state.PeerCertificates = append(state.PeerCertificates, cert)
	}
	return state, nil
}

// connected is a connected socket as a net.PacketConn, which package net does not let write
// to an address.
type connected struct {
	*net.UDPConn
	closed func() error // the same for all who call it, when its port is free
}

func (c connected) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := c.Read(b)
	return n, c.RemoteAddr(), err
}

func (c connected) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

func (c connected) Close() error { return c.closed() }

// secured is an association whose socket keeps the time of a Write, and is closed when Close
// returns: by itself a Conn that the collector has closed is still about to.
type secured struct {
	*dtls.Conn
	socket connected
}

func (s secured) SetWriteDeadline(t time.Time) error { return s.socket.SetWriteDeadline(t) }

func (s secured) Close() error { return errors.Join(s.Conn.Close(), s.socket.Close()) }
