//go:build linux

package kernels_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// apt is a private directory of apt's, for one suite of Debian: it changes
// nothing of the system's, and needs no root.
type apt struct {
	dir     string
	options []string
}

// newApt makes the directory and gets the suite's list of packages.
func newApt(dir, suite string) (*apt, error) {
	a := &apt{dir, []string{
		"-o", "Dir::State=" + dir, "-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache=" + dir,
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"), "-o", "Dir::Etc::sourceparts=-",
		"-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any",
		"-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=15", "-q",
	}}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return nil, err
		}
	}
	uri, err := mirror()
	if err != nil {
		return nil, err
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", uri, suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o666); err != nil {
		return nil, err
	}
	_, err = a.run("apt-get", "update")
	return a, err
}

// mirror returns where the system gets Debian's packages from.
func mirror() (string, error) {
	out, _ := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)").Output() // empty without apt, which newApt reports
	for _, uri := range strings.Fields(string(out)) {
		if strings.HasSuffix(uri, "/debian/") {
			return uri, nil
		}
	}
	return "", errors.New("the system gets no packages from Debian")
}

// download downloads the image that a package depends on, and returns the file.
func (a *apt) download(variant string) (string, error) {
	out, err := a.run("apt-cache", "depends", "--important", variant)
	if err != nil {
		return "", err
	}
	_, image, _ := strings.Cut(out, "Depends: ")
	image, _, _ = strings.Cut(image, "\n")
	if _, err := a.run("apt-get", "download", image); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(a.dir, "*.deb")) // the pattern is right
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %q gave %d files", image, len(debs))
	}
	return debs[0], nil
}

func (a *apt) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(a.options, args...)...)
	cmd.Dir, cmd.WaitDelay = a.dir, 5*time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
