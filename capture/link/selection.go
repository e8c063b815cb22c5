//go:build linux

package link

import (
	"context"
	"log/slog"
	"sync"
)

// A Selection is which interfaces are wanted: names and patterns, as Choose takes
// them. It may change while it is followed. Any goroutine may use it, in the
// network namespace whose interfaces are meant.
type Selection struct {
	mu       sync.Mutex // held while somebody looks, so that no look is overtaken by an older one
	patterns []string
	refollow context.CancelFunc // has Follow subscribe anew; nil before it was called
}

// NewSelection returns a selection of names and patterns, which must be well formed.
func NewSelection(patterns []string) *Selection { return &Selection{patterns: patterns} }

// Look lists the interfaces, and calls apply with all of them and those that are
// chosen.
func (s *Selection) Look(apply func(links []Link, chosen Choice) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	links, err := List()
	if err != nil {
		return err
	}
	chosen, err := Choose(links, s.patterns)
	if err != nil {
		return err
	}
	return apply(links, chosen)
}

// Change replaces the names and patterns. What else a look goes by is changed in
// with, which no look interrupts.
func (s *Selection) Change(patterns []string, with func()) error {
	if err := CheckPatterns(patterns); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patterns = patterns
	with()
	if s.refollow != nil {
		s.refollow() // without names, other changes are to be followed
	}
	return nil
}

// Follow calls look as the function Follow does, and after each Change.
func (s *Selection) Follow(ctx context.Context, stopped func() bool, log *slog.Logger, look func() error) error {
	for ctx.Err() == nil && !stopped() {
		following, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		s.refollow = cancel
		addresses := len(s.patterns) == 0
		s.mu.Unlock()
		err := Follow(following, addresses, stopped, log, look)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
