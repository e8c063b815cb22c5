package verify

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"cacheflow/cmd/internal/manifest"
)

// Stored is what a collector has.
type Stored struct {
	Format  string // as a person calls it
	Shows   Shows
	Records []manifest.Record
}

// add takes a record. Once one does not say where it comes from, none does.
func (s *Stored) add(r manifest.Record, who *exporters, o origin) {
	number, told := who.find(o)
	r.Exporter = number
	s.Shows.Exporter = s.Shows.Exporter && told
	s.Records = append(s.Records, r)
}

// shown is what all formats have, but for the exporter in some.
var shown = Shows{Exporter: true, ToS: true, TCPFlags: true, Input: true, Output: true, SrcAS: true, DstAS: true, Start: true, End: true}

// head is how much of a file is looked at to find out what it is.
const head = 1 << 12

var errFormat = errors.New("none of: nfdump -o csv, nfdump -o json, goflow2's JSON, cacheflow's JSON lines, an IPFIX file")

// ReadFile reads what a collector stored, compressed or not.
func ReadFile(path string, all []manifest.Exporter) (*Stored, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, head)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" { // gzip (RFC 1952 §2.3.1)
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r = bufio.NewReaderSize(z, head)
	}
	s := &Stored{Shows: shown}
	isOwn, err := s.read(r, newExporters(all))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if isOwn {
		return s, s.own(path, newExporters(all))
	}
	return s, nil
}

// read finds out what a file is by its beginning, and reads it unless it is one of our own.
func (s *Stored) read(r *bufio.Reader, who *exporters) (isOwn bool, err error) {
	begins, err := r.Peek(head)
	if err != nil && err != io.EOF {
		return false, err
	}
	begins = bytes.TrimLeft(begins, " \t\r\n")
	switch {
	case bytes.HasPrefix(begins, []byte("ts,te,")):
		return false, s.nfdumpCSV(r, who)
	case bytes.Contains(begins, []byte(`"in_packets" :`)):
		return false, s.nfdumpJSON(r, who)
	case bytes.HasPrefix(begins, []byte(`{"manifest":`)):
		return false, errors.New("a manifest: want what a collector stored")
	case bytes.HasPrefix(begins, []byte("{")) && bytes.Contains(begins, []byte(`"sampler_address":`)):
		return false, s.goflow2(r, who)
	case bytes.HasPrefix(begins, []byte("{")), bytes.HasPrefix(begins, []byte("\x00\x0a")):
		return true, nil
	}
	return false, errFormat
}
