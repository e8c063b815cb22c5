package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// maxPath is the longest path that fits into sockaddr_un with its NUL (unix(7)).
const maxPath = 107

// probe is how long a socket that is in the way may take to accept.
const probe = time.Second

// DefaultPath returns the socket of a daemon that the user uid runs: below /run
// for root, else in the user's runtime directory.
func DefaultPath(uid int, getenv func(string) string) string {
	const name = "cacheflow.sock"
	if uid == 0 {
		return "/run/" + name
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join("/run/user", strconv.Itoa(uid), name)
}

// Listen makes the control socket at path with the given permissions, in place
// of one that a dead process left. Closing the listener removes the socket.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control socket %s: the path has %d octets, %d at most", path, len(path), maxPath)
	}
	if err := clearWay(path); err != nil {
		return nil, err
	}
	// Linux makes the file with the mode that the unbound socket has, less the
	// umask: it is never open to others, not even between bind and chmod.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err == nil {
		if err = os.Chmod(path, mode.Perm()); err == nil {
			return l, nil
		}
		l.Close()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("control socket %s: permission denied: run as root or choose another path", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("control socket %s: its directory does not exist: choose another path by --socket", path)
	}
	return nil, fmt.Errorf("control socket %s: %w", path, errors.Unwrap(err))
}

// clearWay removes a socket at path behind which nobody listens. Whatever else
// is there is left alone and is an error.
func clearWay(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return nil // bind tells why
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket %s: the file is there and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, probe)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("another cacheflow answers at %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("control socket %s: cannot replace the one that a dead process left: run as root or choose another path", path)
		}
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("control socket %s: it belongs to another user: run as that user or choose another path", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil // its owner just removed it
	}
	// EAGAIN: somebody listens whose backlog is full.
	return fmt.Errorf("another cacheflow listens at %s and does not answer", path)
}
