// Package capture is the Observation Point (RFC 7011 §2): it turns frames into
// observations. Its subpackages are the sources of frames; this package holds
// what they share: the Source interface, the header walker, the fragment table
// and the counters of what was not metered and why.
package capture
