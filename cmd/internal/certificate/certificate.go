package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Files names what an exporter needs for TLS, all in PEM. RFC 7011 §11.3 wants both sides
// to be authenticated.
type Files struct {
	Certificate, Key string // of this exporter, with intermediate certificates
	CA               string // that the collector's certificate must be signed by
	// ServerName must be in the collector's certificate; empty for the host that is
	// connected to.
	ServerName string
	// Fingerprints, where there are any, lists the collectors' certificates that are
	// taken: SHA-256 of the DER form, in hexadecimal, colons or not.
	Fingerprints []string
}

// Client returns a configuration of a TLS client from the files as they are now. Anything
// that is wrong with them is in its error.
func (f Files) Client() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca %s: no certificate in PEM", f.CA)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: f.ServerName,
		SessionTicketsDisabled: true, // a session that is resumed would not be authenticated anew
	}
	if len(f.Fingerprints) > 0 {
		c.VerifyConnection = f.verify
	}
	return c, nil
}

// verify takes only the certificates that are listed, after they were found valid.
func (f Files) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the collector has no certificate")
	}
	sum := sha256.Sum256(s.PeerCertificates[0].Raw)
	got := hex.EncodeToString(sum[:])
	if !slices.ContainsFunc(f.Fingerprints, func(s string) bool { return Fingerprint(s) == got }) {
		return fmt.Errorf("the collector's certificate is not listed: its fingerprint is %s", got)
	}
	return nil
}

// Fingerprint returns s without colons and in lower case, or "" if it is none.
func Fingerprint(s string) string {
	s = strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if b, err := hex.DecodeString(s); err != nil || len(b) != sha256.Size {
		return ""
	}
	return s
}
