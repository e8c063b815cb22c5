package export

import (
	"fmt"
	"slices"
	"strings"
)

// Fields chooses what an exporter's flow records consist of. The zero value is
// the default: all that the cache knows of a flow, in the forms that most
// collectors read.
type Fields struct {
	// Timestamps is the form of a flow's start and end; "" is TimestampsDefault.
	Timestamps Timestamps
	// Counters is the size of packet and octet counters; "" is CountersLong.
	Counters Counters
	// Layout is which fields there are, and their order; "" is LayoutDefault. That of
	// a router decides all else itself.
	Layout Layout
	// FlowID adds flowId: a hash of the Flow Key, the same in all records that one
	// flow leaves behind by active timeout, in all exporters and in all runs. It is
	// no number of a flow: two flows share one with a chance of 1 in 2^64, and a later
	// flow with the same key has the same id.
	FlowID bool
	// ASNumbers adds the autonomous systems of both ends, in four octets, to the default
	// layout. NetFlow v5 and routers' layouts have their own.
	ASNumbers bool
	// Biflow sends both directions of a conversation in one record, the initiator's
	// first, with the reverse direction's elements of RFC 5103, of IPFIX only. A record
	// waits for its reverse for up to 5 s of cache time, and then goes out alone.
	Biflow bool
}

// Timestamps is a form of a flow's start and end.
type Timestamps string

const (
	// TimestampsDefault is sysUpTime in NetFlow v9, as of a router, and
	// milliseconds in IPFIX, which all collectors read.
	TimestampsDefault Timestamps = "default"
	// TimestampsSysUpTime counts milliseconds from the boot instant, modulo 2^32 (49.7
	// days): flowStartSysUpTime and flowEndSysUpTime. IPFIX headers do not tell the
	// boot instant; systemInitTimeMilliseconds goes out with the templates instead.
	TimestampsSysUpTime Timestamps = "sysuptime"
	// TimestampsMilliseconds count from 1970.
	TimestampsMilliseconds Timestamps = "milliseconds"
	// TimestampsMicroseconds and TimestampsNanoseconds are NTP's 64 bits (RFC 7011
	// §6.1.9, §6.1.10), of IPFIX only. Their seconds begin anew in February 2036:
	// what lies behind has those of 1900 on, and it is for the collector to know.
	TimestampsMicroseconds Timestamps = "microseconds"
	TimestampsNanoseconds  Timestamps = "nanoseconds"
)

// Counters is a size of packet and octet counters.
type Counters string

const (
	CountersLong Counters = "long" // eight octets
	// CountersReduced are of four octets in records where both fit; the others have
	// a template of their own with eight, so that no value is ever cut.
	CountersReduced Counters = "reduced"
)

// FieldsError tells which choice of fields cannot be.
type FieldsError struct {
	Key    string // as the configuration names it: timestamps, counters, flow-id …
	Reason string
}

// Error returns the key and the reason.
func (e *FieldsError) Error() string { return e.Key + ": " + e.Reason }

// CheckFields returns a *FieldsError where the protocol of c cannot carry its choice
// of fields, or the choices contradict each other.
func CheckFields(c *Config) error {
	f, own := c.Fields, fmt.Sprintf("the layout %s has its own", c.Fields.Layout)
	for _, fault := range []struct {
		is          bool
		key, reason string
	}{
		{!isOneOf(f.Timestamps, allTimestamps), "timestamps", oneOf(f.Timestamps, allTimestamps)},
		{!isOneOf(f.Counters, allCounters), "counters", oneOf(f.Counters, allCounters)},
		{!isOneOf(f.Layout, allLayouts), "layout", oneOf(f.Layout, allLayouts)},
		{c.Protocol == NetFlow5 && f.Timestamps.isChosen(), "timestamps", "netflow5 has sysUpTime and nothing else"},
		{c.Protocol == NetFlow5 && f.Counters != "", "counters", "netflow5 has four octets, and splits records that need more"},
		{c.Protocol == NetFlow5 && f.Layout.isRouter(), "layout", "netflow5 has one layout"},
		{c.Protocol == NetFlow5 && f.FlowID, "flow-id", "netflow5 has no room for it"},
		{c.Protocol != IPFIX && f.Timestamps.isNTP(), "timestamps", fmt.Sprintf("%s are of ipfix only", f.Timestamps)},
		{c.Protocol == IPFIX && !f.Layout.inIPFIX(), "layout", fmt.Sprintf("%s is of netflow9 only: ipfix has no samplerId of several octets", f.Layout)},
		{f.Layout.isRouter() && f.Timestamps.isChosen(), "timestamps", own},
		{f.Layout.isRouter() && f.Counters != "", "counters", own + ", of four octets"},
		{f.Layout.isRouter() && f.FlowID, "flow-id", fmt.Sprintf("the layout %s has none", f.Layout)},
		{f.Layout.isRouter() && f.Biflow, "biflow", fmt.Sprintf("the layout %s has none", f.Layout)},
		{c.Protocol != IPFIX && f.Biflow, "biflow", "ipfix only has elements of the reverse direction"},
		{f.Biflow && c.messageSize() < minBiflowMTU, "mtu", fmt.Sprintf("%d: a biflow's template needs %d octets", c.MTU, minBiflowMTU)},
		{f.Layout.isRouter() && c.WideTCPFlags, "wide-tcp-flags", own},
	} {
		if fault.is {
			return &FieldsError{fault.key, fault.reason}
		}
	}
	return nil
}

var (
	allTimestamps = []Timestamps{TimestampsDefault, TimestampsSysUpTime, TimestampsMilliseconds, TimestampsMicroseconds, TimestampsNanoseconds}
	allCounters   = []Counters{CountersLong, CountersReduced}
)

// minBiflowMTU holds the longest template of a biflow.
const minBiflowMTU = 512

func (t Timestamps) isNTP() bool { return t == TimestampsMicroseconds || t == TimestampsNanoseconds }

func (t Timestamps) isChosen() bool { return t != "" && t != TimestampsDefault }

// of returns the form that t means in protocol p.
func (t Timestamps) of(p Protocol) Timestamps {
	switch {
	case t.isChosen():
		return t
	case p == IPFIX:
		return TimestampsMilliseconds
	}
	return TimestampsSysUpTime
}

// isOneOf takes what is not given as well.
func isOneOf[T ~string](v T, all []T) bool { return v == "" || slices.Contains(all, v) }

// oneOf words that v is none of all.
func oneOf[T ~string](v T, all []T) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = string(all[i])
	}
	return fmt.Sprintf("%q: must be %s", string(v), strings.Join(names, ", "))
}
