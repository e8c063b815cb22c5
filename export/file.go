package export

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// File describes files that flow records are written to instead of being sent: IPFIX Files
// (RFC 5655), or lines of JSON. The zero value is no file.
type File struct {
	// Path is the name of the files. %Y %m %d %H %M %S in its last element are those of
	// the instant when the file begins, in UTC. A name that is taken gets a number: -1, -2.
	Path string
	// Period has a new file begin at each multiple of it since 1970; 0 is never.
	Period time.Duration
	// Size is the most octets that a file may have; 0 is no bound.
	Size int64
	// Gzip compresses, each message for itself: a member of a gzip file (RFC 1952 §2.2).
	Gzip bool
}

// errNotWritten is the error of a message that is not in a file. Why, the log has been told.
var errNotWritten = errors.New("file not written")

// fileWriter is the socket of an exporter whose collector is a file. What is written to it
// at once, a message or a block of lines, is in one file as a whole, or not at all.
//
// The file that is being written has another name than a complete one, and is locked, so
// that nobody takes it for what a killed run has left.
type fileWriter struct {
	cfg  File
	name fileName
	unit scanner
	log  *slog.Logger

	begun   bool // there is an interval; its file is created by the first Write
	from    time.Time
	end     time.Time // of the interval; the zero Time is never
	aligned bool      // the interval before ended by its time
	failed  bool      // nothing more goes into this file
	file    *os.File
	final   string // its name once it is complete
	size    int64  // octets of the whole messages in it
	packed  bytes.Buffer
	packer  *gzip.Writer
	trouble time.Time // when a message was last not written; the zero Time if all is well
	numbers bool      // it was told that names get numbers
}

// newFileWriter completes what a killed run has left. It creates no file: the first message
// does.
func newFileWriter(c Config) (*fileWriter, error) {
	name, err := newFileName(c.File.Path)
	if err != nil {
		return nil, err
	}
	f := &fileWriter{cfg: c.File, name: name, unit: scanners[c.Protocol], log: c.Logger.With("exporter", c.Name)}
	if f.cfg.Gzip {
		f.packer = gzip.NewWriter(&f.packed)
	}
	f.completeLeft()
	return f, nil
}

// begin has an interval begin, unless one has.
func (f *fileWriter) begin(now time.Time) {
	if f.begun {
		return
	}
	f.begun, f.from, f.end = true, now, time.Time{}
	if f.cfg.Period > 0 {
		start := now.Add(-time.Duration(now.UnixNano() % int64(f.cfg.Period)))
		f.end = start.Add(f.cfg.Period)
		if f.aligned {
			f.from = start
		}
	}
	f.aligned = false
}

// isDue reports whether the file has to end before a message of the time now, of at most
// limit octets, and one that may be under way.
func (f *fileWriter) isDue(now time.Time, limit int) bool {
	switch {
	case f.failed:
		return true
	case f.cfg.Period > 0 && (!now.Before(f.end) || f.from.Sub(now) > f.cfg.Period): // or the clock went back
		f.aligned = true
		return true
	}
	return f.cfg.Size > 0 && f.size+2*int64(packedLimit(limit)) > f.cfg.Size
}

// packedLimit is what n octets take that cannot be compressed: five for each block of
// 65535, and the member's header and trailer (RFC 1951 §3.2.4, RFC 1952 §2.3).
func packedLimit(n int) int { return n + 64 }

// Write appends a message or a block of lines, whole or not at all. After an error nothing
// more goes into this file, because what is missing may be templates.
func (f *fileWriter) Write(b []byte) (int, error) {
	now := time.Now()
	if f.failed || now.Sub(f.trouble) < fileRetry {
		f.failed = true
		return 0, errNotWritten
	}
	if err := f.append(b); err != nil {
		f.failed = true
		if f.trouble.IsZero() {
			f.log.Warn("records are lost: a file cannot be written", "error", err)
		}
		f.trouble = now
		return 0, errNotWritten
	}
	if !f.trouble.IsZero() && now.Sub(f.trouble) >= calm {
		f.trouble = time.Time{}
		f.log.Info("files are written again", "file", f.final)
	}
	return len(b), nil
}

// fileRetry is how long after a failure the next file is tried: what is left of a full disk
// may take a short message, and would fill up with small files.
const fileRetry = time.Second

func (f *fileWriter) append(b []byte) error {
	if f.file == nil {
		if err := f.create(); err != nil {
			return err
		}
	}
	if f.cfg.Gzip {
		b = f.pack(b)
	}
	n, err := f.file.Write(b)
	if err != nil {
		if terr := f.file.Truncate(f.size); n > 0 && terr != nil {
			f.size = -1 // it has half a message
		}
		return err
	}
	f.size += int64(n)
	return nil
}

// pack returns b as a member of a gzip file; it is valid until the next call.
func (f *fileWriter) pack(b []byte) []byte {
	f.packed.Reset()
	f.packer.Reset(&f.packed)
	f.packer.Write(b) // a bytes.Buffer has no errors
	f.packer.Close()
	return f.packed.Bytes()
}

// create creates the file under the first name that is free.
func (f *fileWriter) create() error {
	name := f.name.at(f.from)
	for n := 0; ; n++ {
		final := numbered(name, n)
		if exists(final) {
			continue
		}
		file, err := os.OpenFile(final+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if !own(file) { // it has just been taken for a left-over
			file.Close()
			continue
		}
		if n > 0 && !f.numbers {
			f.numbers = true
			f.log.Info("files get numbers, because a name is taken", "taken", name, "file", final)
		}
		f.file, f.final, f.size = file, final, 0
		return nil
	}
}

// finish ends the interval, and completes its file.
func (f *fileWriter) finish() {
	f.begun, f.failed = false, false
	if f.file == nil {
		return
	}
	file, size := f.file, f.size
	f.file, f.size = nil, 0
	defer file.Close() // and unlocks it
	if size == 0 {
		os.Remove(file.Name())
		return
	}
	name, err := f.final, errors.New("it ends in half a message")
	if size > 0 {
		name, err = publish(file, f.final)
	}
	if err != nil {
		f.log.Error("a file cannot be completed: the next start will try", "file", file.Name(), "error", err)
		return
	}
	f.log.Debug("file complete", "file", name, "octets", size)
}

// publish gives a file that is on disk as a whole its final name, or another one if that
// is taken. Nobody else of us does so with that name: who owns the part owns the name.
func publish(file *os.File, final string) (string, error) {
	if err := file.Sync(); err != nil {
		return "", err
	}
	name := final
	for n := 1; exists(name); n++ {
		name = numbered(final, n)
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return "", err
	}
	return name, syncDir(filepath.Dir(name))
}

// syncDir has the names in a directory survive a loss of power.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// own locks an open file, and reports whether it is this process's now and still has its
// name. Where the file system has no locks, it is.
func own(file *os.File) bool {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return false
	}
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(file.Name())
	return err == nil && os.SameFile(opened, named)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Close completes the last file.
func (f *fileWriter) Close() error {
	f.finish()
	return nil
}

// SetWriteDeadline does nothing: a file has none.
func (f *fileWriter) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr and RemoteAddr are the path.
func (f *fileWriter) LocalAddr() net.Addr  { return fileAddr(f.cfg.Path) }
func (f *fileWriter) RemoteAddr() net.Addr { return fileAddr(f.cfg.Path) }

type fileAddr string

func (fileAddr) Network() string  { return "file" }
func (a fileAddr) String() string { return string(a) }
