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
	return c.selection.Follow(ctx, c.isStopped, c.cfg.Log, c.rescan)
}

// Select has other interfaces captured. The others go on without the loss of a
// packet; counters of those that are left out stay. Config.Changing has kept room
// for those that are new. It is called as Run is. An error tells of an interface
// that failed: Run tries again.
func (c *Capture) Select(interfaces []string) error {
	if err := c.selection.Change(interfaces, func() {}); err != nil {
		return err
	}
	return c.rescan()
}

// rescan looks at the interfaces and brings the capture in line.
func (c *Capture) rescan() error {
	return c.selection.Look(func(links []link.Link, chosen link.Choice) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		before := c.names()
		err := c.apply(links, chosen)
		link.LogChanges(c.cfg.Log, before, c.names())
		return err
	})
}

func (c *Capture) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}
