package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a self-signed certificate and its key in dir, and returns its DER form.
func write(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: k}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return der
}

// TestClient: the files are read at each call, and what is wrong with them is told.
func TestClient(t *testing.T) {
	dir := t.TempDir()
	f := Files{Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "cert")}
	for range 2 {
		der := write(t, dir)
		c, err := f.Client()
		if err != nil {
			t.Fatal(err)
		}
		if string(c.Certificates[0].Certificate[0]) != string(der) || c.MinVersion != tls.VersionTLS12 || c.InsecureSkipVerify {
			t.Errorf("%+v", c)
		}
	}
	for name, f := range map[string]Files{
		"no such file":      {Certificate: filepath.Join(dir, "none"), Key: f.Key, CA: f.CA},
		"no certificate in": {Certificate: f.Certificate, Key: f.Key, CA: f.Key},
		"ca: ":              {Certificate: f.Certificate, Key: f.Key, CA: filepath.Join(dir, "none")},
	} {
		if _, err := f.Client(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

// TestFingerprints: only a certificate that is listed is taken, however it is written.
func TestFingerprints(t *testing.T) {
	der := write(t, t.TempDir())
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	sum := sha256.Sum256(der)
	listed := strings.TrimSuffix(fmt.Sprintf("% X", sum), " ")
	if err := (Files{Fingerprints: []string{strings.Repeat("0", 64), strings.ReplaceAll(listed, " ", ":")}}).verify(state); err != nil {
		t.Error(err)
	}
	err = Files{Fingerprints: []string{strings.Repeat("0", 64)}}.verify(state)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%x", sum)) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "ab", strings.Repeat("g", 64)} {
		if Fingerprint(bad) != "" {
			t.Errorf("%q is a fingerprint", bad)
		}
	}
}
