package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"cacheflow/cmd/internal/ledger"

	"golang.org/x/net/netutil"
)

// Daemon is what the server asks. Each method is called with a context that
// ends, and must return then; it may be called concurrently.
type Daemon interface {
	Cache(context.Context, CacheQuery) (*Cache, error)
	Export(context.Context) (*Export, error)
	Ledger(context.Context) (*ledger.Ledger, error)
	Interfaces(context.Context) (*Interfaces, error)
	ClearCache(context.Context) (*Cleared, error)
	ClearStats(context.Context) (*Cleared, error)
	// Reload may take longer: it ends what it has begun.
	Reload(context.Context) (*Reloaded, error)
}

// Bounds of the server. What a client does, or does not do, costs the daemon a
// connection and at most snapshots times the records that a query may ask for.
const (
	connections  = 32 // at once; further clients wait to be accepted
	snapshots    = 4  // answers with flows at once; further ones get 503
	headerOctets = 8 << 10
	headerTime   = 5 * time.Second
	answerTime   = 10 * time.Second // for the daemon
	stallTime    = 2 * time.Minute  // for the client to take the next octets: somebody pages
	streamTime   = 30 * time.Minute // for the client to take the whole answer
)

// Server answers on a control socket.
type Server struct {
	Daemon  Daemon
	Version Version
	// Answer is how long the daemon may take for an answer, and Stall how long
	// the client may take to read on; 0 chooses 10 s and 2 min.
	Answer, Stall time.Duration

	busy chan struct{} // holds one token for each answer with flows
}

// Serve answers on l until ctx ends; l is then closed. It returns nil, or why
// the listener failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.busy = make(chan struct{}, snapshots)
	if s.Answer == 0 {
		s.Answer = answerTime
	}
	if s.Stall == 0 {
		s.Stall = stallTime
	}
	h := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       headerTime,
		MaxHeaderBytes:    headerOctets,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { h.Close() })
	defer stop()
	if err := h.Serve(netutil.LimitListener(l, connections)); ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *Server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/version", func(w http.ResponseWriter, r *http.Request) { s.reply(w, &s.Version, nil) })
	m.HandleFunc("GET /v1/cache", s.cache)
	m.HandleFunc("GET /v1/ledger", s.ledger)
	m.HandleFunc("GET /v1/export", answer(s, s.Daemon.Export))
	m.HandleFunc("GET /v1/interfaces", answer(s, s.Daemon.Interfaces))
	m.HandleFunc("POST /v1/clear/cache", answer(s, s.Daemon.ClearCache))
	m.HandleFunc("POST /v1/clear/stats", answer(s, s.Daemon.ClearStats))
	m.HandleFunc("POST /v1/reload", answer(s, s.Daemon.Reload))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // nothing here takes a body; do not wait for one
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			w.Header().Set("Connection", "close")
			s.refuse(w, http.StatusRequestEntityTooLarge, errors.New("a request must have no body"))
			return
		}
		m.ServeHTTP(w, r)
	})
}

// answer makes a handler of one of the daemon's methods.
func answer[T any](s *Server, ask func(context.Context) (*T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.Answer)
		defer cancel()
		v, err := ask(ctx)
		s.reply(w, v, err)
	}
}

func (s *Server) ledger(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.Answer)
	defer cancel()
	l, err := s.Daemon.Ledger(ctx)
	if err != nil {
		s.reply(w, nil, err)
		return
	}
	s.begin(w, "application/json")
	_ = l.WriteJSON(w) // the client has gone
}

// begin sets the header of an answer that the client must take in time.
func (s *Server) begin(w http.ResponseWriter, contentType string) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.Stall))
	w.Header().Set("Content-Type", contentType)
}

// reply answers with v or err as one JSON object.
func (s *Server) reply(w http.ResponseWriter, v any, err error) {
	if err == nil {
		s.begin(w, "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client has gone
		return
	}
	status := http.StatusInternalServerError
	if errors.Is(err, context.DeadlineExceeded) {
		status, err = http.StatusGatewayTimeout, fmt.Errorf("the daemon gave no answer within %v", s.Answer)
	}
	s.refuse(w, status, err)
}

func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.begin(w, "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{err.Error()})
}

// failure is the body of an answer whose status is not 200.
type failure struct {
	Error string `json:"error"`
}
