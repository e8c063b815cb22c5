//go:build linux

package kernels_test

import (
	"fmt"
	"io"
	"os"
)

// File types and permissions of an archive's members, inode(7).
const (
	directory  = 0o040755
	executable = 0o100755
	symlink    = 0o120777
)

// cpio writes an archive as the kernel unpacks it to its root: format newc of
// Documentation/driver-api/early-userspace/buffer-format.rst.
type cpio struct {
	w       io.Writer
	members int
}

// add writes a member; data is a file's content or a link's target.
func (c *cpio) add(name string, mode int, data []byte) error {
	c.members++
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, 2 × 2 device numbers, namesize, check
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.members, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	for _, part := range [][]byte{[]byte(head), data} {
		if _, err := c.w.Write(part); err != nil {
			return err
		}
		if _, err := c.w.Write(make([]byte, -len(part)&3)); err != nil {
			return err
		}
	}
	return nil
}

// addFile adds a file of this system as an executable.
func (c *cpio) addFile(name, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return c.add(name, executable, data)
}

// end writes what ends an archive.
func (c *cpio) end() error { return c.add("TRAILER!!!", 0, nil) }
