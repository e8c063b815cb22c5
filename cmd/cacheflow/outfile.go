package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
)

// outFile is a file that is opened before the work begins, so that one that cannot be written is
// noticed then, and keeps what it has until something is written: work that is refused leaves the
// file of an earlier one alone, and no file where there was none.
type outFile struct {
	file         *os.File
	isNew, begun bool
}

func openOut(path string) (*outFile, error) {
	const flags = os.O_WRONLY | os.O_CREATE
	file, err := os.OpenFile(path, flags|os.O_EXCL, 0o666)
	isNew := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, flags, 0o666)
	}
	if err != nil {
		return nil, err
	}
	return &outFile{file: file, isNew: isNew}, nil
}

func (f *outFile) Write(b []byte) (int, error) {
	if !f.begun {
		if err := f.empty(); err != nil {
			return 0, err
		}
		f.begun = true
	}
	return f.file.Write(b)
}

// empty drops what the file has. Pipes and devices have nothing.
func (f *outFile) empty() error {
	info, err := f.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.file.Truncate(0)
}

func (f *outFile) Close() error {
	if f.isNew && !f.begun {
		return errors.Join(f.removeEmpty(), f.file.Close())
	}
	return f.file.Close()
}

// removeEmpty removes the file unless somebody else has moved it, or has written to it.
func (f *outFile) removeEmpty() error {
	ours, err := f.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(f.file.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && (ours.Size() > 0 || !os.SameFile(ours, there)) {
		return nil
	}
	return cmp.Or(err, os.Remove(f.file.Name()))
}

// joinClose adds the error of closing a written file to err.
func joinClose(err error, f io.Closer) error { return errors.Join(err, f.Close()) }
