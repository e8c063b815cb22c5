//go:build linux

package guest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// modes is what test/kernels says of this kernel: the values of --capture, each
// with the mode that the ledger must tell.
var modes = flag.String("modes", "", "`capture=mode,…`")

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "nsenter":
		fmt.Fprintln(os.Stderr, nsenter(os.Args[1:]))
		os.Exit(1)
	case os.Getpid() != 1:
		fmt.Println("skipping: these tests are the init of a virtual machine, see test/kernels")
		os.Exit(0)
	}
	if err := boot(); err != nil {
		fmt.Println(err)
	} else {
		m.Run()
	}
	// What was printed has to leave the serial line first.
	_ = unix.IoctlSetInt(unix.Stdout, unix.TCSBRK, 1)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// boot does what an init has to do.
func boot() error {
	for fs, dir := range map[string]string{"proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fs, dir, fs, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	// Not by os.Open, which would have writes return without having written.
	tty, err := unix.Open("/dev/ttyS1", unix.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("open the serial line: %w", err)
	}
	for _, fd := range []int{unix.Stdout, unix.Stderr} {
		if err := unix.Dup3(tty, fd, 0); err != nil {
			return err
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	fmt.Printf("Linux %s %s\n", unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Version[:]))
	// No frame is to be lost before it is seen.
	if err := os.WriteFile("/proc/sys/net/core/netdev_max_backlog", []byte("100000"), 0); err != nil {
		return err
	}
	os.Setenv("PATH", "/")
	os.Setenv("CI", "true") // nothing is skipped
	return loadModules("/modules")
}

// loadModules loads all of a directory in the order of the names.
func loadModules(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.Open(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		flags := 0
		if strings.HasSuffix(file.Name(), ".xz") {
			flags = unix.MODULE_INIT_COMPRESSED_FILE
		}
		err = unix.FinitModule(int(f.Fd()), "", flags)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", file.Name(), err)
		}
	}
	return nil
}

// nsenter stands in for the program as test/netns calls it: --net=PATH -- name
// arguments. It returns only if it fails.
func nsenter(args []string) error {
	path := strings.TrimPrefix(args[0], "--net=")
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	runtime.LockOSThread() // the thread that enters is the one that goes on as the program
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return fmt.Errorf("run %s: %w", args[2], syscall.Exec(args[2], args[2:], os.Environ()))
}
