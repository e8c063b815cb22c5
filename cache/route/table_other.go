//go:build !linux

package route

import (
	"context"
	"errors"

	"cacheflow/cache/flow"
)

// Table keeps a copy of the forwarding table; on Linux only.
type Table struct{}

// Reader looks flows up; on Linux only.
type Reader struct{}

// New fails: the forwarding table is read by netlink, which is Linux's.
func New(Options) (*Table, error) { return nil, errors.ErrUnsupported }

// NewReader fails.
func (*Table) NewReader() (*Reader, error) { return nil, errors.ErrUnsupported }

// Run fails.
func (*Table) Run(context.Context) error { return errors.ErrUnsupported }

// Load fails.
func (*Table) Load() error { return errors.ErrUnsupported }

// String names the task.
func (*Table) String() string { return "route table" }

// Stats returns zeros.
func (*Table) Stats() Stats { return Stats{} }

// InterfaceName returns "".
func (*Table) InterfaceName(uint32) string { return "" }

// Interfaces returns none.
func (*Table) Interfaces() []Interface { return nil }

// Lookup knows no route.
func (*Reader) Lookup(*flow.Key, uint32, *flow.Route) uint32 { return 0 }

// Close does nothing.
func (*Reader) Close() error { return nil }
