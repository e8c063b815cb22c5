//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const collector = "127.0.0.1:2055"

// show is the demonstration.
func show(ctx context.Context, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cacheflow-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	heading("A client, a gateway that forwards, and a server, in network namespaces")
	fmt.Println("client 10.10.0.2, fd00:10::2 ── lan gateway wan ── server 10.20.0.2, fd00:20::2")
	l, err := newLab(ctx)
	if l != nil {
		defer l.remove()
	}
	if err != nil {
		return err
	}
	d := &demonstration{lab: l, binary: binary, self: self, dir: dir, socket: filepath.Join(dir, "socket")}
	defer d.stopAll()
	for _, step := range []func() error{d.collect, d.export, d.traffic, d.router, d.collected} {
		if err := step(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

type demonstration struct {
	*lab
	binary, self, dir, socket string
	stops                     []func() // in the order of starting
}

// stopAll ends what runs, the last started first.
func (d *demonstration) stopAll() {
	for i := len(d.stops) - 1; i >= 0; i-- {
		d.stops[i]()
	}
	d.stops = nil
}

// begin starts a program that runs on; what it prints goes to a file.
func (d *demonstration) begin(ns, log string, args ...string) error {
	file, err := os.Create(filepath.Join(d.dir, log))
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := d.command(ns, args...)
	cmd.Stdout, cmd.Stderr = file, file
	stop, err := d.start(cmd)
	if err == nil {
		d.stops = append(d.stops, stop)
	}
	return err
}

func hasNfdump() bool {
	_, err := exec.LookPath("nfcapd")
	return err == nil
}

// collect starts a collector on the gateway: nfcapd, or our own.
func (d *demonstration) collect() error {
	if hasNfdump() {
		heading("nfcapd collects on " + collector)
		return d.begin(d.gateway, "nfcapd.log", "nfcapd", "-w", d.dir, "-b", "127.0.0.1", "-p", "2055", "-t", "3600", "-S", "0")
	}
	heading("cacheflow listen collects on " + collector + " (nfdump is not installed)")
	return d.begin(d.gateway, "listen.log", d.binary, "listen", collector)
}

// export starts the exporter. It meters all interfaces of a host that forwards.
func (d *demonstration) export() error {
	heading("cacheflow run -e " + collector + " meters the gateway")
	if err := d.begin(d.gateway, "cacheflow.log", d.binary, "run", "-e", collector, "--socket", d.socket); err != nil {
		return err
	}
	for range 100 {
		if d.cacheflow("show", "ledger").Run() == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(d.dir, "cacheflow.log"))
	return fmt.Errorf("cacheflow does not answer: %s", log)
}

// cacheflow asks the daemon, whose socket is in the file system and so can be
// reached from any namespace.
func (d *demonstration) cacheflow(args ...string) *exec.Cmd {
	return exec.CommandContext(d.ctx, d.binary, append(args, "--socket", d.socket)...)
}

// traffic has the client use the server.
func (d *demonstration) traffic() error {
	heading("HTTP, DNS and ping, over IPv4 and IPv6")
	if err := d.begin(d.server, "serve.log", d.self, "serve"); err != nil {
		return err
	}
	cmd := d.command(d.client, d.self, "browse", "10.20.0.2", "fd00:20::2")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the client: %v", err)
	}
	time.Sleep(200 * time.Millisecond) // for the last packets to be metered
	return nil
}

// router prints what the router says.
func (d *demonstration) router() error {
	for _, what := range [][]string{
		{"show", "ip", "cache", "flow"}, {"show", "ipv6", "flow", "cache"},
		{"clear", "cache"}, {"show", "ip", "flow", "export"}, {"show", "ledger"},
	} {
		line := "cacheflow"
		for _, word := range what {
			line += " " + word
		}
		if what[0] == "clear" {
			line += " (every flow is exported now)"
		}
		heading(line)
		cmd := d.cacheflow(what...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %v", line, err)
		}
		if what[0] == "clear" {
			time.Sleep(1500 * time.Millisecond) // a datagram leaves a second after its first record
		}
	}
	return nil
}

// collected stops everything and prints what the collector has.
func (d *demonstration) collected() error {
	d.stopAll()
	if !hasNfdump() {
		heading("What cacheflow listen received")
		log, err := os.ReadFile(filepath.Join(d.dir, "listen.log"))
		fmt.Printf("%s", log)
		return err
	}
	heading("What nfcapd received, by nfdump")
	files, err := filepath.Glob(filepath.Join(d.dir, "nfcapd.2*"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("nfcapd wrote no file: %v", err)
	}
	for _, f := range files {
		cmd := exec.CommandContext(d.ctx, "nfdump", "-r", f, "-6", "-o", "fmt:%ts %td %pr %sap -> %dap %flg %in %out %nh %pkt %byt")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("nfdump: %v", err)
		}
	}
	return nil
}

func heading(text string) { fmt.Printf("\n\033[1m▶ %s\033[0m\n", text) }
