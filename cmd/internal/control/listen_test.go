package control

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDefaultPath(t *testing.T) {
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	if got := DefaultPath(0, getenv); got != "/run/cacheflow.sock" {
		t.Errorf("root: %s", got)
	}
	if got := DefaultPath(1000, getenv); got != "/run/user/1000/cacheflow.sock" {
		t.Errorf("user without environment: %s", got)
	}
	env["XDG_RUNTIME_DIR"] = "/tmp/x"
	if got := DefaultPath(1000, getenv); got != "/tmp/x/cacheflow.sock" {
		t.Errorf("user: %s", got)
	}
	if got := DefaultPath(0, getenv); got != "/run/cacheflow.sock" {
		t.Errorf("root by su: %s", got)
	}
}

func TestListenMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, mode := range []fs.FileMode{0o600, 0o660} {
		path := filepath.Join(t.TempDir(), "c.sock")
		l, err := Listen(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode is %v, want %v: %v", info.Mode(), mode, err)
		}
		l.Close()
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket is left behind")
		}
	}
}

// stale makes a socket that a dead process would leave.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListenInTheWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.sock")

	stale(t, path)
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	defer l.Close()

	_, err = Listen(path, 0o600)
	if want := "another cacheflow answers at " + path; err == nil || err.Error() != want {
		t.Errorf("second daemon: %v, want %s", err, want)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first daemon lost its socket: %v", err)
	} else {
		c.Close()
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Listen(file, 0o600)
	if err == nil || !strings.HasSuffix(err.Error(), "is not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("a file in the way was removed")
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "c.sock"):          "its directory does not exist",
		filepath.Join(dir, strings.Repeat("x", 108)):  "octets, 107 at most",
		filepath.Join(dir, "c.sock", "below", "file"): "its directory does not exist",
	} {
		_, err := Listen(path, 0o600)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// unprivileged runs f as an ordinary user.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Seteuid(0)
	}
	f()
}

func TestPermission(t *testing.T) {
	dir := t.TempDir()
	live, dead := filepath.Join(dir, "live"), filepath.Join(dir, "dead")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stale(t, dead)
	defer os.Chmod(dir, 0o700)
	for path, mode := range map[string]fs.FileMode{live: 0, dead: 0o666, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the test's own directory above
		t.Fatal(err)
	}
	unprivileged(t, func() {
		for path, want := range map[string]string{
			live:                      "it belongs to another user: run as that user or choose another path",
			dead:                      "cannot replace the one that a dead process left: run as root or choose another path",
			filepath.Join(dir, "new"): "permission denied: run as root or choose another path",
		} {
			_, err := Listen(path, 0o600)
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("listen at %s: %v, want %s", path, err, want)
			}
		}
		if _, err := Dial(live); err == nil || !strings.HasPrefix(err.Error(), "permission denied at "+live+" (run as root") {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestDialErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.sock")
	want := "no daemon is running at " + path + " (start `cacheflow run`, or name its socket with --socket)"
	if _, err := Dial(path); err == nil || err.Error() != want {
		t.Errorf("no socket: %v", err)
	}
	stale(t, path)
	if _, err := Dial(path); err == nil || err.Error() != want {
		t.Errorf("a dead daemon: %v", err)
	}
	other := filepath.Join(dir, "other")
	l, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 mail.example ESMTP\r\n"))
			_ = c.SetDeadline(time.Now())
			c.Close()
		}
	}()
	if _, err := Dial(other); err == nil || !strings.HasPrefix(err.Error(), other+": ") {
		t.Errorf("not cacheflow: %v", err)
	}
}
