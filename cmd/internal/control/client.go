package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"cacheflow/cmd/internal/ledger"
)

// Bounds of what a client waits for and takes.
const (
	dialTime     = 5 * time.Second
	headTime     = answerTime + 5*time.Second // until an answer begins
	answerOctets = 64 << 20                   // of an answer without flows
)

// Client asks a running daemon. It is safe for concurrent use.
type Client struct {
	path string
	http http.Client
}

// Dial returns a client of the daemon that listens at path. It asks it for its
// version, so that a wrong path is an error here.
func Dial(path string) (*Client, error) {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTime}
			return d.DialContext(ctx, "unix", path)
		},
		ResponseHeaderTimeout: headTime,
		IdleConnTimeout:       headerTime / 2, // before the server closes it
		MaxIdleConnsPerHost:   1,
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	if _, err := c.Version(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Version returns which program answers.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	return ask[Version](ctx, c, http.MethodGet, "/v1/version")
}

// Export returns the state of the exporting processes.
func (c *Client) Export(ctx context.Context) (*Export, error) {
	return ask[Export](ctx, c, http.MethodGet, "/v1/export")
}

// Ledger returns the account of every packet.
func (c *Client) Ledger(ctx context.Context) (*ledger.Ledger, error) {
	return ask[ledger.Ledger](ctx, c, http.MethodGet, "/v1/ledger")
}

// Interfaces returns the metered interfaces.
func (c *Client) Interfaces(ctx context.Context) (*Interfaces, error) {
	return ask[Interfaces](ctx, c, http.MethodGet, "/v1/interfaces")
}

// ClearCache ends every flow in the cache; its records are exported.
func (c *Client) ClearCache(ctx context.Context) (*Cleared, error) {
	return ask[Cleared](ctx, c, http.MethodPost, "/v1/clear/cache")
}

// ClearStats resets the statistics of the cache.
func (c *Client) ClearStats(ctx context.Context) (*Cleared, error) {
	return ask[Cleared](ctx, c, http.MethodPost, "/v1/clear/stats")
}

// Reload has the daemon read its configuration file again.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	return ask[Reloaded](ctx, c, http.MethodPost, "/v1/reload")
}

// Cache returns the statistics and the flows that q asks for. Its flows are
// read from the socket while they are ranged over, which must be done.
func (c *Client) Cache(ctx context.Context, q CacheQuery) (*Cache, error) {
	body, err := c.do(ctx, http.MethodGet, "/v1/cache?"+q.values().Encode())
	if err != nil {
		return nil, err
	}
	cache, err := readCache(body)
	if err != nil {
		return nil, fmt.Errorf("read the cache from %s: %w", c.path, err)
	}
	return cache, nil
}

func ask[T any](ctx context.Context, c *Client, method, path string) (*T, error) {
	body, err := c.do(ctx, method, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	v := new(T)
	if err := json.NewDecoder(io.LimitReader(body, answerOctets)).Decode(v); err != nil {
		return nil, fmt.Errorf("%s: not an answer of cacheflow: %w", c.path, err)
	}
	return v, nil
}

// do returns the body of a good answer.
func (c *Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://cacheflow"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, chunk)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%s: the daemon answered %s", c.path, resp.Status)
	}
	return nil, errors.New(f.Error)
}

// explain says what to do about an error of the socket.
func (c *Client) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon is running at %s (start `cacheflow run`, or name its socket with --socket)", c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied at %s (run as root, or as the user or group that the socket belongs to)", c.path)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("the daemon at %s is busy, try again", c.path)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the daemon at %s is busy and does not answer, try again", c.path)
	}
	return fmt.Errorf("%s: %w", c.path, errors.Unwrap(err))
}
