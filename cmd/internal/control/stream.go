package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"
)

// chunk is how much of a stream is gathered before it is written, in octets.
const chunk = 64 << 10

// cache answers with the statistics and then one flow a line, so that neither
// side ever holds the whole answer as text.
func (s *Server) cache(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err)
		return
	}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		s.refuse(w, http.StatusServiceUnavailable, errors.New("too many clients read the cache at once, try again later"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Answer)
	c, err := s.Daemon.Cache(ctx, q)
	cancel()
	if err != nil {
		s.reply(w, nil, err)
		return
	}
	s.begin(w, "application/x-ndjson")
	if err := c.WriteJSON(&patient{w, http.NewResponseController(w), s.Stall, time.Now().Add(streamTime)}); err != nil {
		panic(http.ErrAbortHandler) // what was sent must not look complete
	}
}

// patient is the client's side of a stream: it may stall for a while at each
// write, but not for ever.
type patient struct {
	w     io.Writer
	rc    *http.ResponseController
	stall time.Duration
	end   time.Time
}

func (p *patient) Write(b []byte) (int, error) {
	deadline := time.Now().Add(p.stall)
	if deadline.After(p.end) {
		deadline = p.end
	}
	_ = p.rc.SetWriteDeadline(deadline)
	return p.w.Write(b)
}

// WriteJSON writes the statistics as one JSON object and then each flow as one,
// a line each. It uses up c.Flows.
func (c *Cache) WriteJSON(w io.Writer) error {
	b := bufio.NewWriterSize(w, chunk)
	e := json.NewEncoder(b)
	if err := e.Encode(&c.Statistics); err != nil {
		return err
	}
	for f, err := range c.Flows {
		if err == nil {
			err = e.Encode(f)
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}

// readCache reads what WriteJSON wrote. The flows are read while they are
// ranged over, and r is closed behind the last one.
func readCache(r io.ReadCloser) (*Cache, error) {
	d := json.NewDecoder(bufio.NewReaderSize(r, chunk))
	c := new(Cache)
	if err := d.Decode(&c.Statistics); err != nil {
		r.Close()
		return nil, err
	}
	c.Flows = flows(d, r)
	return c, nil
}

func flows(d *json.Decoder, r io.Closer) iter.Seq2[*Flow, error] {
	return func(yield func(*Flow, error) bool) {
		defer r.Close()
		for {
			var f Flow
			err := d.Decode(&f)
			if err == io.EOF {
				return
			}
			if !yield(&f, err) || err != nil {
				return
			}
		}
	}
}
