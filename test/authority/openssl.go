package authority

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Server is openssl s_server, which wants a certificate of its peer and writes what it
// deciphers to a file.
type Server struct {
	Address string

	t    testing.TB
	file string
	args []string
	cmd  *exec.Cmd
}

// StartTLS runs a server of TLS, with the certificate of pair, that listens once StartTLS
// returns. It trusts ca.
func StartTLS(t testing.TB, ca *Authority, pair tls.Certificate) *Server {
	t.Helper()
	l, err := net.Listen("tcp", ownAddress())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := newServer(t, l.Addr(), certified(ca, pair)...)
	s.Start()
	s.await()
	return s
}

// StartDTLS runs a server of DTLS 1.2, which may listen a little later: exporters try again.
// Without a pair it has no certificate.
func StartDTLS(t testing.TB, ca *Authority, pair tls.Certificate) *Server {
	t.Helper()
	c, err := net.ListenPacket("udp", ownAddress())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	args := []string{"-nocert", "-CAfile", ca.Files(ca.Pair("collector.example", time.Time{})).CA}
	if pair.Certificate != nil {
		args = certified(ca, pair)
	}
	s := newServer(t, c.LocalAddr(), append(args, "-dtls1_2")...)
	s.Start()
	return s
}

func newServer(t testing.TB, address net.Addr, args ...string) *Server {
	return &Server{t: t, Address: address.String(), file: filepath.Join(t.TempDir(), "out"), args: args}
}

func certified(ca *Authority, pair tls.Certificate) []string {
	f := ca.Files(pair)
	return []string{"-cert", f.Certificate, "-key", f.Key, "-CAfile", f.CA}
}

// ownAddress returns an address that nobody else listens at, and any port of it: who comes
// back to a port must not find that somebody was given it meanwhile.
func ownAddress() string { return fmt.Sprintf("127.2.0.%d:0", ownAddresses.Add(1)) }

var ownAddresses atomic.Uint32

// Start runs it, again where it did before; its file begins anew.
func (s *Server) Start() {
	s.t.Helper()
	out, err := os.Create(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, "openssl", append([]string{
		"s_server", "-quiet", "-accept", s.Address, "-Verify", "1", "-verify_return_error",
	}, s.args...)...)
	s.cmd.Stdout = out
	if _, err := s.cmd.StdinPipe(); err != nil { // at whose end it would hang up
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until it listens; it may see a connection that says nothing.
func (s *Server) await() {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", s.Address); err == nil {
			conn.Close()
			return
		}
	}
	s.t.Fatalf("nobody listens at %s", s.Address)
}

// Signal sends it a signal.
func (s *Server) Signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// Received returns how many octets it has deciphered.
func (s *Server) Received() int64 {
	s.t.Helper()
	i, err := os.Stat(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return i.Size()
}

// Stop ends it, once nothing more comes, and returns what it deciphered.
func (s *Server) Stop() []byte {
	s.t.Helper()
	for before, now := int64(-1), s.Received(); now != before; before, now = now, s.Received() {
		time.Sleep(200 * time.Millisecond)
	}
	return s.Kill()
}

// Kill ends it as it is, and returns what it deciphered.
func (s *Server) Kill() []byte {
	s.t.Helper()
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	b, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Error(err)
	}
	return b
}
