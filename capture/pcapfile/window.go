package pcapfile

import "io"

// window is a read buffer that lends its octets out: what peek returns lies in
// the buffer, so that a packet is not copied.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int   // what was read and not consumed
	at         int64 // offset in the (uncompressed) file of start
	err        error // of r, once nothing is left
}

const (
	// chunk is how much is read at once: it stays in a core's cache.
	chunk = 128 << 10
	// windowSize is the largest piece that may be asked for. The buffer has it
	// only once a piece is larger than its first size, two chunks.
	windowSize = 2 * maxPacket
)

func newWindow(r io.Reader) *window { return &window{r: r, buf: make([]byte, 2*chunk)} }

// peek returns the next n octets, n ≤ windowSize. They are valid until the next
// call. Where fewer are left it returns them and an error.
func (w *window) peek(n int) ([]byte, error) {
	if w.end-w.start >= n {
		return w.buf[w.start : w.start+n], nil
	}
	return w.fill(n)
}

func (w *window) fill(n int) ([]byte, error) {
	buf := w.buf
	if n > len(buf) {
		w.buf = make([]byte, windowSize)
	}
	w.end = copy(w.buf, buf[w.start:w.end])
	w.start = 0
	for empty := 0; w.end < n && w.err == nil; {
		var m int
		m, w.err = w.r.Read(w.buf[w.end:min(w.end+chunk, len(w.buf))])
		w.end += m
		if m > 0 {
			empty = 0
		} else if empty++; empty == 100 {
			w.err = io.ErrNoProgress
		}
	}
	if w.end >= n {
		return w.buf[:n], nil
	}
	return w.buf[:w.end], w.err
}

// skip consumes the next n octets.
func (w *window) skip(n int64) error {
	for n > int64(w.end-w.start) {
		have := w.end - w.start
		w.start += have
		w.at += int64(have)
		n -= int64(have)
		if _, err := w.fill(1); err != nil {
			return err
		}
	}
	w.start += int(n)
	w.at += n
	return nil
}
