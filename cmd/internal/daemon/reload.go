//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"cacheflow/cache"
	"cacheflow/capture/afpacket"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// ErrDirection says that the packet sockets of AF_PACKET are made for their
// direction. Live.Reload gets it from apply, which has then done nothing.
var ErrDirection = errors.New("cannot change while it runs by AF_PACKET: restart")

// served is what the control socket asks.
type served struct {
	*Meter
	session *session
}

// Reload implements control.Daemon.
func (d served) Reload(context.Context) (*control.Reloaded, error) { return d.session.reload() }

// awaitHangups reloads at each signal, until ctx is done.
func (s *session) awaitHangups(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Hangup:
			_, _ = s.reload() // it has told
		}
	}
}

// reload reloads, and tells what came of it. It does not end before it is done: half
// a reload would be worse than a late one.
func (s *session) reload() (*control.Reloaded, error) {
	changes, err := s.reloadOnce()
	if err != nil {
		s.Log.Error("nothing was reloaded", "err", err)
		return nil, err
	}
	for _, c := range changes {
		s.Log.Info("reloaded", "change", c)
	}
	if len(changes) == 0 {
		s.Log.Info("reloaded: nothing changed")
	}
	return &control.Reloaded{Changes: changes}, nil
}

func (s *session) reloadOnce() ([]string, error) {
	if s.Live.Reload == nil {
		return nil, errors.New("there is no configuration file to reload: start with -c FILE")
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.ended {
		return nil, errors.New("the daemon is about to end")
	}
	return s.Live.Reload(s.apply)
}

// endReloads waits for the one that is under way.
func (s *session) endReloads() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.ended = true
}

// apply takes over from next what can change while s runs: exporters, timeouts,
// interfaces and their directions. An error changes nothing.
func (s *session) apply(next *Live) error {
	if _, ok := s.capture.(*afpacket.Capture); ok {
		now := &s.Live.Capture
		if next.Capture.Direction != now.Direction || !maps.Equal(next.Capture.Directions, now.Directions) {
			return ErrDirection
		}
	}
	set, err := s.nextExporters(next.Exporters)
	if err != nil {
		return err
	}
	groups, err := s.nextGroups(next.Groups, set)
	if err != nil {
		return err
	}
	come, gone, err := s.swap(set, groups, next)
	if err != nil {
		return err
	}
	come.start(&s.running)
	for _, e := range gone {
		s.running.Go(func() { s.leave(e) })
	}
	if err := s.reselect(next); err != nil { // it is tried again
		s.Log.Error("some interfaces are not captured", "err", err)
	}
	return nil
}

// nextExporters returns the exporters of these configurations: the same as now where
// name and configuration are the same, else new ones.
func (s *session) nextExporters(configs []export.Config) (exporterSet, error) {
	set := make(exporterSet, 0, len(configs))
	for _, c := range configs {
		at := slices.IndexFunc(s.exporters, func(e *exporter) bool { return reflect.DeepEqual(e.configured, c) })
		if at >= 0 {
			set = append(set, s.exporters[at])
			continue
		}
		e, err := s.newSession(c)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", c.Name, err)
		}
		set = append(set, e)
	}
	return set, nil
}

// nextGroups returns the groups of these configurations: the same as now where they and
// their exporters are the same, else new ones, which do not run yet.
func (s *session) nextGroups(configs []config.Group, set exporterSet) ([]*group, error) {
	groups := make([]*group, 0, len(configs))
	for _, c := range configs {
		at := slices.IndexFunc(s.groups, func(g *group) bool { return g.isSame(c, set) })
		if at >= 0 {
			groups = append(groups, s.groups[at])
			continue
		}
		g, err := newGroup(c, set, &s.moved)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// regroup stops the groups that no shard delivers to any more, and starts new ones.
// changing is held.
func (s *session) regroup(groups []*group) {
	before := s.groups
	s.groups = groups
	var gone []*group
	for _, g := range before {
		if !slices.Contains(groups, g) {
			g.stop()
			gone = append(gone, g)
		}
	}
	for _, g := range groups {
		if !slices.Contains(before, g) {
			g.inherit(gone)
			g.start()
		}
	}
	for _, g := range gone {
		for _, e := range g.members {
			if !slices.ContainsFunc(groups, func(g *group) bool { return slices.Contains(g.members, e) }) {
				e.Hold(false) // only now: between two groups nothing must leave in vain
			}
		}
	}
}

// newSession makes an exporter that is not to be taken for one that is leaving, or
// left: where no Source ID is configured, it has another than any before.
func (s *session) newSession(c export.Config) (*exporter, error) {
	id := c
	if id.SourceID == 0 {
		id.SourceID = max(1, uint32(random()))
	}
	e, err := s.newExporter(id)
	e.configured = c
	return e, err
}

// swap has each shard, between two batches, take over the timeouts and deliver to set
// and groups. It returns who has come and who has gone.
func (s *session) swap(set exporterSet, groups []*group, next *Live) (come, gone exporterSet, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	active, inactive, linger := next.Cache.Active, next.Cache.Inactive, next.Cache.Linger
	for _, sh := range s.shards {
		_ = sh.ask(context.Background(), func() { // such an ask is always answered
			if err = sh.table.SetTimeouts(active, inactive, linger); err == nil {
				sh.swap(newOutlets(set, groups))
			}
		})
		if err != nil {
			return nil, nil, err // the first shard's, as it is the same for all
		}
	}
	s.cache.Active, s.cache.Inactive, s.cache.Linger = active, inactive, linger
	come = set.without(s.exporters)
	gone = s.exporters.without(set)
	s.exporters = set
	s.regroup(groups)
	s.leaving = append(slices.Clone(s.leaving), gone...)
	return come, gone, nil
}

// leave ends an exporter that no shard delivers to any more, once it has sent what is
// queued. What it sent last is known as our own until every shard has seen it.
func (s *session) leave(e *exporter) {
	ctx, cancel := context.WithTimeout(context.Background(), s.Drain)
	defer cancel()
	_ = e.Shutdown(ctx) // what it gives up is counted
	sent := s.now()
	for _, sh := range s.shards {
		sh.pass(sent)
	}
	s.changing.Lock()
	part, sum := e.ledger(cache.Sum{}), ledger.Exporter{Name: ledger.Removed}
	if s.removed != nil {
		sum.Add(s.removed)
	}
	sum.Add(&part)
	s.removed = &sum
	s.leaving = s.leaving.without(exporterSet{e})
	s.changing.Unlock()
	s.own.remove(e)
}
