package judge

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flow is a Flow Record as a judge decoded it: values by the IANA name of their
// Information Element, as in cacheflow's own JSON. An element that is missing is
// one that the judge does not decode, or one that does not apply.
//
// Numbers are decimal, addresses in their canonical text (netip.Addr), hardware
// addresses in lower case with colons, octet arrays in hex. Times are in
// milliseconds since 1970 (flowStartMilliseconds, flowEndMilliseconds), whatever
// the protocol carries; flowStartSeconds and flowEndSeconds are those of a judge
// that shows no more.
type Flow map[string]string

// Uint returns a number; 0 where the flow has none.
func (f Flow) Uint(name string) uint64 {
	n, _ := strconv.ParseUint(f[name], 10, 64)
	return n
}

// Sum counts flow records and what they carry.
type Sum struct{ Records, Packets, Octets uint64 }

// Add adds up flows.
func Add(flows []Flow) (s Sum) {
	for _, f := range flows {
		s.Records++
		s.Packets += f.Uint("packetDeltaCount")
		s.Octets += f.Uint("octetDeltaCount")
	}
	return s
}

// ReadJSON reads flow records from JSON lines, as `cacheflow … -o json` prints
// them; options records are left out.
func ReadJSON(r io.Reader) (flows []Flow, err error) {
	d := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	d.UseNumber()
	for record := map[string]any{}; ; clear(record) {
		if err := d.Decode(&record); err == io.EOF {
			return flows, nil
		} else if err != nil {
			return flows, err
		}
		if record["options"] == true {
			continue
		}
		f := make(Flow, len(record))
		for name, value := range record {
			f[name] = text(value)
		}
		flows = append(flows, f)
	}
}

// text is a value of JSON as a Flow has it.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(value)
}

// identity are the elements that tell flow records apart. Two records of one
// flow are paired in the order of their times.
var identity = []string{
	"sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address",
	"sourceTransportPort", "destinationTransportPort", "protocolIdentifier", "ipClassOfService",
	"packetDeltaCount", "octetDeltaCount",
}

// Compare pairs the records of a judge with those wanted and returns a line for
// each difference, 20 at most. Every element that the judge has must have the
// wanted value; one that is missing in want must be zero. Times may differ by
// tolerance, durations by none, and whole seconds by less than one from the time.
func Compare(got, want []Flow, tolerance time.Duration) (differences []string) {
	say := func(format string, a ...any) { differences = append(differences, fmt.Sprintf(format, a...)) }
	order := byStart
	if len(got) > 0 && got[0]["flowStartSeconds"] != "" {
		order = byCount // two records of a flow can begin in one second
	}
	wanted := group(want, order)
	for key, gs := range group(got, order) {
		ws := wanted[key]
		delete(wanted, key)
		if len(gs) != len(ws) {
			say("%d records instead of %d: %s", len(gs), len(ws), key)
			continue
		}
		for i := range gs {
			if d := difference(gs[i], ws[i], tolerance.Milliseconds()); d != "" {
				say("%s: %s", key, d)
			}
		}
	}
	for key, ws := range wanted {
		say("0 records instead of %d: %s", len(ws), key)
	}
	slices.Sort(differences)
	return differences[:min(20, len(differences))]
}

// group brings the records of each flow together, in order.
func group(flows []Flow, order func(a, b Flow) int) map[string][]Flow {
	groups := map[string][]Flow{}
	var key []byte
	for _, f := range flows {
		key = key[:0]
		for _, name := range identity {
			if v := f[name]; !isZero(v) {
				key = append(append(append(append(key, name...), ' '), v...), ' ')
			}
		}
		groups[string(key)] = append(groups[string(key)], f)
	}
	for _, g := range groups {
		slices.SortStableFunc(g, order)
	}
	return groups
}

func byStart(a, b Flow) int { return cmp.Compare(a.start(), b.start()) }

func byCount(a, b Flow) int {
	return cmp.Or(
		cmp.Compare(a.Uint("packetDeltaCount"), b.Uint("packetDeltaCount")),
		cmp.Compare(a.Uint("octetDeltaCount"), b.Uint("octetDeltaCount")),
		byStart(a, b),
	)
}

// start is when the flow began, in milliseconds.
func (f Flow) start() int64 {
	if s := f.Uint("flowStartSeconds"); s != 0 {
		return int64(s) * 1000
	}
	return int64(f.Uint("flowStartMilliseconds"))
}

func difference(got, want Flow, tolerance int64) string {
	for name, g := range got {
		w, isThere := want[name]
		switch {
		case g == w || !isThere && isZero(g):
		case name == "flowStartMilliseconds" || name == "flowEndMilliseconds":
			if off := int64(got.Uint(name)) - int64(want.Uint(name)); off < -tolerance || off > tolerance {
				return fmt.Sprintf("%s is %s instead of %s", name, g, w)
			}
			if duration(got) != duration(want) {
				return fmt.Sprintf("the duration is %d ms instead of %d", duration(got), duration(want))
			}
		case name == "flowStartSeconds" || name == "flowEndSeconds":
			exact := int64(want.Uint(strings.Replace(name, "Seconds", "Milliseconds", 1)))
			if off := int64(got.Uint(name))*1000 - exact; off <= -1000 || off >= 1000 {
				return fmt.Sprintf("%s is %s instead of %d ms", name, g, exact)
			}
		default:
			return fmt.Sprintf("%s is %s instead of %s", name, g, w)
		}
	}
	return ""
}

func duration(f Flow) int64 {
	return int64(f.Uint("flowEndMilliseconds")) - int64(f.Uint("flowStartMilliseconds"))
}

func isZero(v string) bool {
	switch v {
	case "", "0", "0.0.0.0", "::", "00:00:00:00:00:00", "000000":
		return true
	}
	return false
}
