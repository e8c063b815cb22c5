package manifest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cacheflow/cache/flow"
)

// Reader reads a manifest.
type Reader struct {
	Header    Header
	Exporters []Exporter

	r       *bufio.Reader
	line    int
	records uint64
	fault   Fault // of the datagram whose records follow
	last    *Last
}

// maxLine is more than any line of a manifest has, in octets.
const maxLine = 1 << 16

// NewReader reads the head of a manifest, compressed or not.
func NewReader(r io.Reader) (*Reader, error) {
	m := &Reader{r: bufio.NewReaderSize(r, maxLine)}
	if magic, _ := m.r.Peek(2); string(magic) == "\x1f\x8b" { // gzip (RFC 1952 §2.3.1)
		z, err := gzip.NewReader(m.r)
		if err != nil {
			return nil, err
		}
		m.r = bufio.NewReaderSize(z, maxLine)
	}
	text, err := m.next()
	if err == io.EOF {
		return nil, errors.New("empty: what is to be read here is written by generate --manifest")
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &m.Header); err != nil || m.Header.Manifest == 0 {
		return nil, errors.New("not a manifest")
	}
	if m.Header.Manifest != version || !slices.Equal(m.Header.Columns, columns) {
		return nil, fmt.Errorf("a manifest of version %d, with other columns than this program knows", m.Header.Manifest)
	}
	for {
		if b, err := m.r.Peek(12); err != nil || !bytes.HasPrefix(b, []byte(`{"exporter":`)) {
			return m, nil
		}
		var x Exporter
		if text, err = m.next(); err == nil {
			err = json.Unmarshal(text, &x)
		}
		if err != nil {
			return nil, m.at(err)
		}
		m.Exporters = append(m.Exporters, x)
	}
}

// Next reads up to the next record. At the end of a whole manifest it returns io.EOF.
func (m *Reader) Next(r *Record) error {
	for {
		text, err := m.next()
		switch {
		case err == io.EOF && m.last == nil:
			return m.at(errors.New("cut off: the last line is missing"))
		case err == io.EOF && m.last.Records != m.records:
			return m.at(fmt.Errorf("%d records, and the last line says %d", m.records, m.last.Records))
		case err == io.EOF:
			return err
		case err != nil:
			return m.at(err)
		case m.last != nil:
			return m.at(errors.New("a line behind the last one"))
		case text[0] == '[':
			if err := parse(text, r); err != nil {
				return m.at(err)
			}
			m.records++
			r.Fault = m.fault
			return nil
		case bytes.HasPrefix(text, []byte(`{"datagram":`)):
			if err := m.datagram(text); err != nil {
				return m.at(err)
			}
		case bytes.HasPrefix(text, []byte(`{"end":`)):
			m.last = new(Last)
			if err := json.Unmarshal(text, m.last); err != nil {
				return m.at(err)
			}
		}
	}
}

// datagram notes a fault, which few datagrams have.
func (m *Reader) datagram(text []byte) error {
	m.fault = ""
	if !bytes.Contains(text, []byte(`"fault":`)) {
		return nil
	}
	var d struct{ Fault Fault }
	err := json.Unmarshal(text, &d)
	m.fault = d.Fault
	return err
}

// Last returns the last line, once Next has returned io.EOF.
func (m *Reader) Last() Last { return *m.last }

func (m *Reader) at(err error) error { return fmt.Errorf("line %d: %w", m.line, err) }

// next returns a line that is not empty.
func (m *Reader) next() ([]byte, error) {
	for {
		text, err := m.r.ReadSlice('\n')
		m.line++
		text = bytes.TrimSpace(text)
		if len(text) > 0 && (err == nil || err == io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// parse reads a record: an array of numbers, and of texts without escapes.
func parse(text []byte, r *Record) error {
	p := parser{rest: text[1:]}
	*r = Record{
		Exporter: uint32(p.number(32)), Datagram: p.number(64), Src: p.address(), Dst: p.address(),
		SrcPort: uint16(p.number(16)), DstPort: uint16(p.number(16)), Protocol: uint8(p.number(8)), ToS: uint8(p.number(8)),
		TCPFlags: uint16(p.number(16)), Input: uint32(p.number(32)), Output: uint32(p.number(32)),
		Packets: p.number(64), Octets: p.number(64), Start: int64(p.number(63)), End: int64(p.number(63)),
		NextHop: p.address(), SrcPrefixLen: uint8(p.number(8)), DstPrefixLen: uint8(p.number(8)),
		SrcAS: uint32(p.number(32)), DstAS: uint32(p.number(32)), Reason: flow.EndReason(p.number(8)),
	}
	for p.err == nil && len(p.rest) > 0 {
		p.mark(r)
	}
	return p.err
}

type parser struct {
	rest []byte
	err  error
}

// value takes what stands before the next comma, or the bracket at the end.
func (p *parser) value() string {
	i := bytes.IndexAny(p.rest, ",]")
	if i < 0 {
		if p.err == nil {
			p.err = errors.New("fewer columns than a record has")
		}
		return ""
	}
	v := string(bytes.TrimSpace(p.rest[:i]))
	p.rest = p.rest[i+1:]
	return v
}

// mark takes a column that few records have: what was done to it, or why it cannot be decoded.
func (p *parser) mark(r *Record) {
	v := p.value()
	text := strings.Trim(v, `"`)
	switch changed, why := RecordFault(text), Undecodable(text); {
	case (changed == Limits || changed == Reversed) && r.Changed == "":
		r.Changed = changed
	case (why == NoTemplate || why == OldTemplate) && r.Undecodable == "":
		r.Undecodable = why
	default:
		p.err = fmt.Errorf("more columns than a record has, or unknown %s", v)
	}
}

func (p *parser) number(bits int) uint64 {
	n, err := strconv.ParseUint(p.value(), 10, bits)
	if p.err == nil {
		p.err = err
	}
	return n
}

func (p *parser) address() (a netip.Addr) {
	v := p.value()
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		if p.err == nil {
			p.err = fmt.Errorf("%s instead of an address", v)
		}
		return a
	}
	if v = v[1 : len(v)-1]; v == "" {
		return a
	}
	a, err := netip.ParseAddr(v)
	if p.err == nil {
		p.err = err
	}
	return a
}
