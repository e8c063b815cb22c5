//go:build linux

package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	nns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NS is a network namespace that a test made; it ends with the test.
type NS struct {
	// Path is a name of the namespace in the file system, as setns(2) and
	// `nsenter --net=PATH` take it.
	Path string

	t      testing.TB
	handle nns.NsHandle
	links  *netlink.Handle
}

// serial numbers the namespaces of this process.
var serial atomic.Uint32

// New makes a namespace whose loopback interface is up. It skips the test where
// the process may not do so, and fails it there if CI is set in the environment.
func New(t testing.TB) *NS {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("network namespaces need root")
		}
		t.Skip("skipping: network namespaces need root")
	}
	ns := &NS{t: t}
	dir := t.TempDir()
	ns.Path = filepath.Join(dir, fmt.Sprintf("ns%d", serial.Add(1)))
	if err := ns.create(); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(ns.close)
	lo, err := ns.links.LinkByName("lo")
	if err == nil {
		err = ns.links.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatalf("set lo up: %v", err)
	}
	return ns
}

// create makes the namespace on a thread of its own and gives it a name, so
// that it lives on when the thread does not.
func (ns *NS) create() error {
	if err := os.WriteFile(ns.Path, nil, 0o600); err != nil {
		return err
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			errs <- fmt.Errorf("unshare: %w", err)
			return
		}
		own := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		errs <- unix.Mount(own, ns.Path, "none", unix.MS_BIND, "")
	}()
	if err := <-errs; err != nil {
		return err
	}
	var err error
	if ns.handle, err = nns.GetFromPath(ns.Path); err != nil {
		return err
	}
	ns.links, err = netlink.NewHandleAt(ns.handle, unix.NETLINK_ROUTE)
	return err
}

func (ns *NS) close() {
	ns.links.Close()
	if err := ns.handle.Close(); err != nil {
		ns.t.Errorf("close the namespace: %v", err)
	}
	if err := unix.Unmount(ns.Path, unix.MNT_DETACH); err != nil {
		ns.t.Errorf("unmount the namespace: %v", err)
	}
}

// Run runs f inside, on a thread of its own, and returns when f does. Sockets
// that f opens stay in the namespace; goroutines that it starts are outside.
// f must not call t.FailNow or what does so (t.Fatal, t.Skip).
func (ns *NS) Run(f func()) {
	ns.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := nns.Set(ns.handle); err != nil {
			done <- err
			return
		}
		defer close(done)
		f()
	}()
	if err := <-done; err != nil {
		ns.t.Errorf("enter the namespace: %v", err)
	}
}

// Command is exec.Command for a program that runs inside.
func (ns *NS) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + ns.Path, "--", name}, args...)...)
}

// MustRun runs a program inside and fails the test if it does; it returns what
// the program printed.
func (ns *NS) MustRun(name string, args ...string) string {
	ns.t.Helper()
	out, err := ns.Command(name, args...).CombinedOutput()
	if err != nil {
		ns.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Links is a netlink handle inside, for what the helper has no word for.
func (ns *NS) Links() *netlink.Handle { return ns.links }

// Sysctl writes a value below /proc/sys, e.g. Sysctl("net/ipv4/ip_forward", "1").
func (ns *NS) Sysctl(name, value string) {
	ns.t.Helper()
	var err error
	ns.Run(func() { err = os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0) })
	if err != nil {
		ns.t.Fatalf("sysctl %s=%s: %v", name, value, err)
	}
}
