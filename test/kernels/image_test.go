//go:build linux

package kernels_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// modules are those that the guest loads, in this order. In these kernels none
// depends on another, and all else is built in.
var modules = []string{"veth", "tun", "sch_ingress", "cls_bpf"}

// image is a directory with "vmlinuz" and the modules, compressed or not.
type image string

func (i image) kernel() string { return filepath.Join(string(i), "vmlinuz") }

// modules returns the files of the modules in their order.
func (i image) modules() (files []string, err error) {
	for _, m := range modules {
		found, _ := filepath.Glob(filepath.Join(string(i), m+".ko*")) // the pattern is right
		if len(found) != 1 {
			return nil, fmt.Errorf("%s: %d modules %s", i, len(found), m)
		}
		files = append(files, found[0])
	}
	return files, nil
}

// image returns the kernel's image from the cache, CACHEFLOW_KERNELS or one of the
// user's. What is not there is fetched; what is there stays until it is removed.
func (k kernel) image() (image, error) {
	cache := os.Getenv("CACHEFLOW_KERNELS")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "cacheflow-kernels")
	}
	i := image(filepath.Join(cache, k.name))
	_, err := os.Stat(i.kernel())
	if _, merr := i.modules(); err == nil && merr == nil {
		return i, nil
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	if err := k.fetch(scratch, i); err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w", k.name, err)
	}
	_, err = i.modules()
	return i, err
}

// fetch replaces an image by the suite's newest.
func (k kernel) fetch(scratch string, i image) error {
	a, err := newApt(filepath.Join(scratch, "apt"), k.suite)
	if err != nil {
		return err
	}
	deb, err := a.download(k.variant)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(scratch, "image")
	if err := unpack(deb, unpacked); err != nil {
		return err
	}
	if err := os.RemoveAll(string(i)); err != nil {
		return err
	}
	return os.Rename(unpacked, string(i))
}

// unpack writes what an image needs from its package to dir.
func unpack(deb, dir string) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	cmd := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = extract(tar.NewReader(out), dir)
	if err != nil {
		_ = cmd.Process.Kill() // it may wait for its reader
	}
	return errors.Join(err, cmd.Wait())
}

func extract(r *tar.Reader, dir string) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Base(h.Name)
		module, _, isModule := strings.Cut(name, ".ko")
		switch {
		case strings.HasPrefix(name, "vmlinuz-"):
			name = "vmlinuz"
		case !isModule || !slices.Contains(modules, module):
			continue
		}
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}
