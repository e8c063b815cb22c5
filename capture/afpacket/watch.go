//go:build linux

package afpacket

import (
	"context"

	"cacheflow/capture/link"
)

// Run attaches interfaces that come and detaches those that go, until ctx is
// done or the capture is stopped; it then returns nil. It must run in the
// network namespace of Open.
func (c *Capture) Run(ctx context.Context) error {
	return link.Follow(ctx, len(c.cfg.Interfaces) == 0, c.isStopped, c.cfg.Log, c.rescan)
}

// rescan looks at the interfaces and brings the capture in line.
func (c *Capture) rescan() error {
	links, err := link.List()
	if err != nil {
		return err
	}
	chosen, err := link.Choose(links, c.cfg.Interfaces)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.names()
	err = c.apply(links, chosen)
	link.LogChanges(c.cfg.Log, before, c.names())
	return err
}

func (c *Capture) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}
