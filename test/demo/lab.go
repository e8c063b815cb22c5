//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// lab is three network namespaces: a client, a gateway and a server.
type lab struct {
	ctx                     context.Context
	client, gateway, server string // their names
}

// quiet keeps IPv6 from probing for duplicate addresses and asking for routers
// on devices that are made after it.
const quiet = "cd /proc/sys/net/ipv6/conf/default; echo 0 >accept_dad; echo 0 >router_solicitations"

// newLab builds the namespaces. The gateway has no default route.
func newLab(ctx context.Context) (*lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("the ip program is missing: install iproute2")
	}
	name := func(role string) string { return fmt.Sprintf("cacheflow-%d-%s", os.Getpid(), role) }
	l := &lab{ctx, name("client"), name("gateway"), name("server")}
	for _, line := range []string{
		"netns add " + l.client, "netns add " + l.gateway, "netns add " + l.server,
	} {
		if err := l.ip(line); err != nil {
			return l, err
		}
	}
	for _, ns := range []string{l.client, l.gateway, l.server} {
		if err := l.run(ns, "sh", "-c", quiet); err != nil {
			return l, err
		}
	}
	for _, line := range []string{
		"link add eth0 netns " + l.client + " type veth peer name lan netns " + l.gateway,
		"link add eth0 netns " + l.server + " type veth peer name wan netns " + l.gateway,
	} {
		if err := l.ip(line); err != nil {
			return l, err
		}
	}
	for _, a := range [][3]string{
		{l.client, "eth0", "10.10.0.2/24 fd00:10::2/64"}, {l.gateway, "lan", "10.10.0.1/24 fd00:10::1/64"},
		{l.gateway, "wan", "10.20.0.1/24 fd00:20::1/64"}, {l.server, "eth0", "10.20.0.2/24 fd00:20::2/64"},
	} {
		if err := l.configure(a[0], a[1], strings.Fields(a[2])); err != nil {
			return l, err
		}
	}
	for _, route := range []string{
		"-n " + l.client + " route add default via 10.10.0.1", "-n " + l.client + " route add default via fd00:10::1",
		"-n " + l.server + " route add default via 10.20.0.1", "-n " + l.server + " route add default via fd00:20::1",
	} {
		if err := l.ip(route); err != nil {
			return l, err
		}
	}
	return l, l.run(l.gateway, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
}

// configure gives a link its addresses and sets it up.
func (l *lab) configure(ns, link string, addresses []string) error {
	for _, a := range addresses {
		if err := l.ip("-n " + ns + " addr add " + a + " dev " + link); err != nil {
			return err
		}
	}
	if err := l.ip("-n " + ns + " link set lo up"); err != nil {
		return err
	}
	return l.ip("-n " + ns + " link set " + link + " up")
}

// remove removes the namespaces that were made, and with them all that is in them.
func (l *lab) remove() {
	for _, ns := range []string{l.client, l.gateway, l.server} {
		if _, err := os.Stat("/run/netns/" + ns); err != nil {
			continue
		}
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "demo: ip netns del %s: %v: %s", ns, err, out)
		}
	}
}

// ip runs ip(8).
func (l *lab) ip(line string) error {
	out, err := exec.CommandContext(l.ctx, "ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %v: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// command is a program in a namespace. When the demonstration is interrupted it
// is asked to end, and killed if it does not.
func (l *lab) command(ns string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(l.ctx, "ip", append([]string{"netns", "exec", ns}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a program in a namespace to its end.
func (l *lab) run(ns string, args ...string) error {
	out, err := l.command(ns, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %v: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// start starts a program in a namespace; stop ends it and waits.
func (l *lab) start(cmd *exec.Cmd) (stop func(), err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := false
	return func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}, nil
}
