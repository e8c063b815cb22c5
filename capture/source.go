package capture

import "cacheflow/cache/flow"

// Source hands over observations. One goroutine reads it.
type Source interface {
	// Read fills batch and returns how many observations it wrote, and the
	// horizon: everything that was observed before that time has been handed
	// over, by this call or an earlier one. The horizon never goes back.
	//
	// A live source waits for a short time at most (some tens of milliseconds),
	// then returns n = 0 with a horizon that has moved on. A finished source
	// returns io.EOF, with n = 0.
	Read(batch []flow.Packet) (n int, horizon flow.Time, err error)

	// AppendCounters appends the counters of each interface that the source has
	// seen, in the order of their index. It is called between two Reads, by the
	// goroutine that reads.
	AppendCounters(c []Counters) []Counters

	Close() error
}
