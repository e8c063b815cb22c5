package ledger

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"cacheflow/capture"
)

// Identity is one equation of the account with the value of both sides.
type Identity struct {
	// Scope tells whose it is: "interface eth0", "capture", "cache", "records",
	// "exporter nfcapd".
	Scope    string `json:"scope"`
	Unit     string `json:"unit"` // frames, observations, flows, records, packets or octets
	Equation string `json:"equation"`
	Left     uint64 `json:"left"`
	Right    uint64 `json:"right"`
	// Difference is Left − Right: 0 at a quiet instant.
	Difference int64 `json:"difference"`
}

// interfaceScope begins the scope of an identity of one interface.
const interfaceScope = "interface "

func (i Identity) isInterface() bool { return strings.HasPrefix(i.Scope, interfaceScope) }

// balance collects identities.
type balance []Identity

func (b *balance) add(scope, unit, equation string, left, right uint64) {
	*b = append(*b, Identity{scope, unit, equation, left, right, int64(left - right)})
}

// sums adds the three identities of a Sum, count being the unit of Count.
func (b *balance) sums(scope, count, equation string, left, right Sum) {
	b.add(scope, count, equation, left.Count, right.Count)
	b.add(scope, "packets", equation, left.Packets, right.Packets)
	b.add(scope, "octets", equation, left.Octets, right.Octets)
}

// Balance returns every identity of the account. Each term of the ledger stands
// in at least one of them.
func (l *Ledger) Balance() []Identity {
	var b balance
	total := l.Total()
	if !l.sharedRing() {
		for i := range l.Interfaces {
			b.frames(interfaceScope+l.Interfaces[i].Name, &l.Interfaces[i])
		}
	}
	b.frames("capture", &total)
	b.firstLevel(&total.FirstLevel)
	l.balanceCache(&b, Sum{total.Observations, total.Packets, total.Octets})
	if g := l.Groups; g != nil {
		in := g.Given
		in.Add(g.TakenBack)
		b.sums("groups", "records", "given + taken back = passed to exporters", in, g.Passed)
	}
	for i := range l.Exporters {
		l.Exporters[i].balance(&b)
	}
	return b
}

// sharedRing reports whether what was observed and lost is known for several
// interfaces together only: then the identity of frames holds for the sum.
func (l *Ledger) sharedRing() bool {
	return slices.ContainsFunc(l.Interfaces, func(i Interface) bool { return i.Index == 0 })
}

func (b *balance) frames(scope string, i *Interface) {
	b.add(scope, "frames", "observed = lost + in first level + in ring + sampled out + ignored + undecodable + metered",
		i.Observed, i.Lost+i.InFirstLevel+i.InRing+i.SampledOut+frames(i.Ignored)+frames(i.Undecodable)+i.Metered)
}

// firstLevel adds the identities of the kernel's cache, which counts packets and
// octets itself.
func (b *balance) firstLevel(f *capture.FirstLevel) {
	const equation = "counted = lost + in it + in ring + handed over"
	out := f.Lost
	out.Add(f.Content)
	out.Add(f.InRing)
	out.Add(f.HandedOver)
	b.add("first level", "packets", equation, f.Counted.Packets, out.Packets)
	b.add("first level", "octets", equation, f.Counted.Octets, out.Octets)
}

func (l *Ledger) balanceCache(b *balance, metered Sum) {
	given := total(l.Ignored)
	given.Add(l.Cache.Observed)
	b.sums("cache", "observations", "metered = ignored + given to the cache", metered, given)

	c := &l.Cache
	ended := total(c.Ended)
	const content = "given to the cache = in cache + in records"
	b.add("cache", "packets", content, c.Observed.Packets, c.Content.Packets+ended.Packets)
	b.add("cache", "octets", content, c.Observed.Octets, c.Content.Octets+ended.Octets)
	b.add("cache", "flows", "added = in cache + expired", c.Added, c.Content.Count+c.Expired)
	b.sums("records", "records", "ended = handed to the exporters", ended, l.Records)
}

func (e *Exporter) balance(b *balance) {
	scope := "exporter " + e.Name
	b.sums(scope, "records", "handed to it = made", e.Handed, e.Made)
	out := total(e.Dropped)
	out.Add(e.Queued)
	out.Add(e.Building)
	out.Add(e.Sent)
	b.sums(scope, "records", "made = queued + building + sent + dropped", e.Made, out)
}

// Closes reports whether every identity holds to the last unit.
func (l *Ledger) Closes() bool {
	return !slices.ContainsFunc(l.Balance(), func(i Identity) bool { return i.Difference != 0 })
}

// WriteJSON writes the ledger and its balance as one JSON object. Decoding it
// into a Ledger gives l again.
func (l *Ledger) WriteJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(struct {
		*Ledger
		Balance []Identity `json:"balance"`
	}{l, l.Balance()})
}
