package generate

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/synth"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// router is one virtual router. In a round one goroutine has it to itself.
type router struct {
	// Exporter has the present boot time, flow.Time 0 of the session. That of the source and the
	// table is origin, the first one.
	manifest.Exporter
	origin   time.Time
	start    time.Time        // of the traffic
	restarts []time.Time      // to come
	announce []time.Time      // when it sends its templates, beyond when they are due
	clocks   []Clock          // to come
	turned   []manifest.Clock // that the manifest does not have yet
	off      time.Duration    // how far the wall clock is from the traffic's time
	told     time.Time        // when sysUpTime was 0, as headers tell it
	protocol export.Protocol
	messages export.Config // the session's
	source   capture.Source
	table    *cache.Table
	emit     func(*flow.Record) // what the table's records go to
	session  *export.Session

	batch []flow.Packet
	held  []flow.Packet // what was read of batch and comes later than the round
	ended bool          // the source has no more
	end   flow.Time     // of a profile's traffic
	done  bool          // nothing will be sent any more

	now        flow.Time // of the session
	shifted    record    // the one under way, on the session's time
	open       []record  // what the open message will carry, in order
	changes    recordFaults
	as         func(*flow.Key) (src, dst uint32) // autonomous systems; nil where there are none
	octetsOfAS int                               // that records give them
	hasUptime  bool                              // records have their times by sysUpTime
	isNarrow   bool                              // records have counters of four octets only
	datagrams  uint64
	account    account
	failed     error
	out        *output
}

// record is one that is to be sent, and what was done to it on purpose.
type record struct {
	flow.Record
	changed manifest.RecordFault
	sum     ledger.Sum // what the ledger has of it: what was metered
}

// output is what one router sends in one round.
type output struct {
	data      []byte
	datagrams []datagram
	records   []manifest.Record
	// notCarried counts the records that met the round's end without a message, by why.
	notCarried [export.Reasons]uint64
	restart    *manifest.Restart // it came first
}

func (o *output) reset() {
	*o = output{data: o.data[:0], datagrams: o.datagrams[:0], records: o.records[:0]}
}

// datagram is one of them: data and records up to here, from where the one before it ends.
type datagram struct {
	manifest.Datagram
	flows         ledger.Sum // that it carries
	due           time.Time
	data, records int
	clocks        []manifest.Clock // what happened before it
}

// readBatch is how many packets are made at once: they stay in the processor's first-level cache.
const readBatch = 64

// newRouter returns a router with the traffic of the profile, or of the feed unless that is nil.
func newRouter(c *Config, number uint32, f *feed) (r *router, err error) {
	r = &router{Exporter: c.exporter(number), protocol: c.Export.Protocol, batch: make([]flow.Packet, readBatch)}
	r.origin, r.restarts, r.messages, r.emit = r.Boot, c.restarts(number), c.session(&r.Exporter, r.epoch), r.export
	r.announce, r.clocks, r.told = c.announcements(number), c.clocks(number), r.Boot
	r.start, r.changes = c.Start, newRecordFaults(c, number)
	table := c.Cache
	if f != nil {
		r.source = &view{f, r}
	} else {
		start := since(r.origin, c.Start)
		r.end = start.Add(c.Duration)
		s, err := synth.New(synth.Config{
			Profile: c.Profile, Seed: c.Seed, Router: number, Start: start, End: r.end, Boot: r.origin,
		})
		if err != nil {
			return nil, err
		}
		r.source, table.Router = s, s
		if hasAS(c.Profile) {
			r.as = s.ASNumbers
		}
	}
	table.Seed, table.Emit = [2]uint64{c.Seed, uint64(number)}, func(f *flow.Record) { r.emit(f) }
	if m := table.Memory(); m >= hugePage && m <= maxHuge/int64(c.Routers) {
		table.Alloc = tableMemory
	}
	if r.table, err = cache.New(table); err != nil {
		return nil, err
	}
	if r.session, err = export.NewSession(r.messages, r.send); err != nil {
		return nil, err
	}
	r.octetsOfAS = r.session.Length(bgpSourceAsNumber)
	r.hasUptime, r.isNarrow = r.session.Length(flowStartSysUpTime) > 0, r.session.Length(octetDeltaCount) == 4
	return r, nil
}

// flushed is how many flows a router ends in a round once its traffic is over, so that
// the last round is no larger than others.
const flushed = 4096

// advance has the router meter and send what is due before a time, and put it into out. Where
// there are more packets than it can read now, it will be called again for the same time.
func (r *router) advance(until time.Time, more bool, out *output) {
	r.out = out
	if len(r.restarts) > 0 && !r.restarts[0].After(until.Add(-roundLength)) {
		r.failed = r.restart(r.restarts[0])
		r.restarts = r.restarts[1:]
	}
	r.turn(r.start, until.Add(-roundLength))
	for len(r.announce) > 0 && !r.announce[0].After(until.Add(-roundLength)) {
		r.session.SendTemplates(r.now)
		r.announce = r.announce[1:]
	}
	horizon := since(r.origin, until)
	for !r.ended && r.meter(horizon) {
	}
	if more {
		return
	}
	for r.table.Expire(horizon, 1024) == 1024 {
	}
	if r.ended && horizon >= r.end && r.table.Flush(flushed) == 0 {
		r.session.Finish(r.now)
		r.done = true
	}
	r.tick(since(r.Boot, until))
}

// meter gives packets to the cache; false where there are none now, or those that are left are
// later than the horizon.
func (r *router) meter(horizon flow.Time) bool {
	if len(r.held) == 0 {
		n, _, err := r.source.Read(r.batch)
		if err != nil {
			r.ended = true
			if !errors.Is(err, io.EOF) {
				r.failed = err
			}
		}
		if n == 0 {
			return false
		}
		r.held = r.batch[:n]
	}
	n := 0
	for n < len(r.held) && r.held[n].Last < horizon {
		n++
	}
	if n > 0 {
		r.table.Observe(r.held[:n])
		r.table.Expire(r.held[n-1].Last, 1024)
		r.held = r.held[n:]
	}
	return len(r.held) == 0
}

// export takes a record that leaves the cache.
func (r *router) export(leaves *flow.Record) {
	r.account.ended.Add(sumOf(leaves))
	f := &r.shifted
	f.Record = *leaves
	shift := since(r.origin, r.Boot)
	f.First, f.Last, f.Expired = f.First-shift, f.Last-shift, f.Expired-shift
	if r.as != nil {
		f.SrcAS, f.DstAS = r.as(&f.Key)
	}
	f.changed = r.changes.change(&f.Record, r.Exporter.Exporter, r.origin.Add(time.Duration(leaves.Expired)).Sub(r.start))
	r.tick(f.Expired)
	parts := uint64(1)
	if r.isNarrow {
		// The session would split what exceeds 32 bits; then nobody knew what is in which datagram.
		parts = max(parts, parts32(f.Packets), parts32(f.Octets))
	}
	if parts > export.MaxParts {
		parts = 1 // the session refuses it
	}
	r.account.handed.Add(ledger.Sum{Count: parts, Packets: leaves.Packets, Octets: leaves.Octets})
	packets, octets := f.Packets, f.Octets
	for i := range parts {
		f.Packets, f.Octets = share(packets, parts, i), share(octets, parts, i)
		f.sum = ledger.Sum{Count: 1, Packets: share(leaves.Packets, parts, i), Octets: share(leaves.Octets, parts, i)}
		r.append(f)
	}
}

func (r *router) append(f *record) {
	r.open = append(r.open, *f)
	r.account.made.Add(f.sum)
	if why := r.session.Append(&f.Record, r.now); why != export.None {
		r.open = r.open[:len(r.open)-1]
		r.account.refused[why].Add(f.sum)
		r.out.notCarried[why]++
	}
}

// parts32 returns how many 32-bit counters n needs.
func parts32(n uint64) uint64 { return n/math.MaxUint32 + min(1, n%math.MaxUint32) }

// share returns part i of n, evenly divided.
func share(n, parts, i uint64) uint64 {
	part := n / parts
	if i < n%parts {
		part++
	}
	return part
}

// tick moves the session's time on. What is due in between leaves when it is due.
func (r *router) tick(t flow.Time) {
	for due, ok := r.session.Due(); ok && due <= t; due, ok = r.session.Due() {
		r.now = max(r.now, due)
		r.session.Tick(r.now)
	}
	r.now = max(r.now, t)
}

// send is the session's sink. A message carries the oldest of the open records, as many as
// it counts.
func (r *router) send(m *export.Message) {
	o := r.out
	r.datagrams++
	sequence, epoch := r.header(m.Data)
	n := int(m.Flows.Records)
	var sum ledger.Sum
	for i := range r.open[:n] {
		sum.Add(r.open[i].sum)
		o.records = append(o.records, r.record(&r.open[i], epoch))
	}
	r.open = r.open[:copy(r.open, r.open[n:])]
	o.data = append(o.data, m.Data...)
	due := r.Boot.Add(time.Duration(r.now))
	o.datagrams = append(o.datagrams, datagram{
		manifest.Datagram{
			Number: r.datagrams, Exporter: r.Exporter.Exporter, Sequence: sequence, Time: due.UnixMilli(), Octets: len(m.Data), Records: n,
		},
		sum, due, len(o.data), len(o.records), r.turned,
	})
	r.turned = nil
}

// epoch returns the wall time of flow.Time 0 of the session, as the router's clock has it.
func (r *router) epoch() time.Time { return r.Boot.Add(r.off) }

// header returns a message's sequence number, and the wall time of flow.Time 0 in milliseconds
// as a collector computes it, which knows that sysUpTime wraps.
func (r *router) header(b []byte) (sequence uint32, epoch int64) {
	be := binary.BigEndian
	if r.protocol == export.NetFlow9 && r.hasUptime { // whole seconds, and sysUpTime in milliseconds
		now := int64(r.now.Milliseconds())
		uptime := now + int64(int32(be.Uint32(b[4:])-uint32(now)))
		return be.Uint32(b[sequenceAt(b):]), int64(be.Uint32(b[8:]))*1000 - uptime
	}
	return be.Uint32(b[sequenceAt(b):]), r.epoch().UnixMilli()
}

// record returns what the manifest says of a record of the message under way.
func (r *router) record(f *record, epoch int64) manifest.Record {
	m := manifest.Record{
		Exporter: r.Exporter.Exporter, Datagram: r.datagrams, Src: f.SrcAddr(), Dst: f.DstAddr(), SrcPort: f.SrcPort, DstPort: f.DstPort,
		Protocol: f.Protocol, ToS: f.ToS, TCPFlags: f.TCPFlags, Input: f.Input, Output: f.Egress, Packets: f.Packets, Octets: f.Octets,
		Start: epoch + int64(f.First.Milliseconds()), End: epoch + int64(f.Last.Milliseconds()),
		SrcPrefixLen: f.SrcPrefixLen, DstPrefixLen: f.DstPrefixLen, Reason: f.End, Changed: f.changed,
	}
	r.setAS(&m, f)
	if f.NextHop != [16]byte{} {
		m.NextHop = f.NextHopAddr()
	}
	return m
}
