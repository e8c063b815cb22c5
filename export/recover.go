package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// completeLeft completes the files that a killed run has left: what is whole in them gets
// its final name. All that happens to them is told.
func (f *fileWriter) completeLeft() {
	dir := filepath.Dir(f.cfg.Path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return // the first Write will tell
	} else if err != nil {
		f.log.Warn("cannot look for files that a killed run has left", "error", err)
		return
	}
	for _, e := range entries {
		if e.Type().IsRegular() && f.name.parts.MatchString(e.Name()) {
			f.completePart(filepath.Join(dir, e.Name()))
		}
	}
}

func (f *fileWriter) completePart(part string) {
	log := f.log.With("left", part)
	file, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		log.Warn("cannot open a file that a killed run has left", "error", err)
		return
	}
	defer file.Close() // and unlocks it
	if !own(file) {
		log.Info("another process is writing a file of this name")
		return
	}
	keep, why := f.wholeOctets(file)
	info, err := file.Stat()
	if err == nil {
		err = file.Truncate(keep)
	}
	name := part[:len(part)-len(partSuffix)]
	switch {
	case err != nil:
	case keep == 0:
		err = os.Remove(part)
		name = "none: nothing in it is whole"
	default:
		name, err = publish(file, name)
	}
	if err != nil {
		log.Warn("cannot complete a file that a killed run has left", "error", err)
		return
	}
	log.Warn("completed a file that a killed run has left", "file", name, "octets", keep, "cut", info.Size()-keep, "because", why)
}

// wholeOctets returns how many octets of the file are whole messages or lines, and what is
// wrong with those behind them, or nil.
func (f *fileWriter) wholeOctets(file io.Reader) (int64, error) {
	if !f.cfg.Gzip {
		return f.unit.scan(file)
	}
	stored := &countingReader{r: bufio.NewReaderSize(file, maxUnit)}
	var keep int64
	for {
		if _, err := stored.r.Peek(1); err == io.EOF {
			return keep, nil
		}
		z, err := gzip.NewReader(stored)
		if err != nil {
			return keep, err
		}
		z.Multistream(false)
		if _, err := f.unit.scan(z); err != nil {
			return keep, err
		}
		keep = stored.n
	}
}

// countingReader counts what gzip takes. It is an io.ByteReader, so that gzip takes no more
// than a member.
type countingReader struct {
	r *bufio.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// maxUnit is the most octets of a message, and of a line.
const maxUnit = 1 << 16

// A scanner returns the length of the message or line that r, whose buffer is maxUnit long,
// begins with. io.EOF says that there is none.
type scanner func(r *bufio.Reader) (int, error)

var scanners = map[Protocol]scanner{IPFIX: scanMessage, JSON: scanLine}

// scan reads from to its end, and returns how many octets were whole, and what is wrong with
// those behind them, or nil.
func (unit scanner) scan(from io.Reader) (whole int64, err error) {
	r := bufio.NewReaderSize(from, maxUnit)
	for {
		n, err := unit(r)
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		r.Discard(n) // it is in the buffer
		whole += int64(n)
	}
}

var errNoMessage = errors.New("not an IPFIX message")

func scanMessage(r *bufio.Reader) (int, error) {
	h, err := r.Peek(4)
	if len(h) > 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	n := int(be.Uint16(h[2:]))
	if be.Uint16(h) != uint16(IPFIX) || n < header10 {
		return 0, errNoMessage
	}
	m, err := r.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	for sets := m[header10:]; len(sets) > 0; { // a lost page is zeros
		if len(sets) < setHeader || int(be.Uint16(sets[2:])) < setHeader || int(be.Uint16(sets[2:])) > len(sets) {
			return 0, errNoMessage
		}
		sets = sets[be.Uint16(sets[2:]):]
	}
	return n, nil
}

var errNoLine = errors.New("not a line of JSON")

func scanLine(r *bufio.Reader) (int, error) {
	for n := 1024; ; n = min(2*n, maxUnit) {
		b, err := r.Peek(n)
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if !json.Valid(b[:i]) {
				return 0, errNoLine
			}
			return i + 1, nil
		}
		switch {
		case err == io.EOF && len(b) > 0:
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case n == maxUnit:
			return 0, errNoLine
		}
	}
}
