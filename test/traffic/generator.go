package traffic

import "math/rand/v2"

// Generator makes frames one after another. It is used by one goroutine.
type Generator struct {
	spec  Spec
	rand  *rand.Rand
	zipf  *rand.Zipf
	turn  int
	seen  []uint64 // a bit for each flow
	truth Truth
}

// New returns a Generator at its first frame.
func New(s Spec) (*Generator, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	s.Flows = max(s.Flows, 1)
	g := &Generator{spec: s, rand: rand.New(rand.NewPCG(s.Seed, 0)), seen: make([]uint64, (s.Flows+63)/64)}
	if s.Zipf != 0 {
		g.zipf = rand.NewZipf(g.rand, s.Zipf, 10, uint64(s.Flows-1))
	}
	return g, nil
}

// Next appends the next Ethernet frame to b and returns the extended buffer.
// Its checksums are right and its payload is zero.
func (g *Generator) Next(b []byte) []byte {
	k := g.pick()
	f := newFlow(&g.spec, k)
	size, flags := g.spec.Size, byte(tcpACK)
	if size == 0 {
		size = mix(g.rand.Uint32N(12))
	}
	if g.spec.Lifelike {
		flags = lifelike(g.rand.Uint32N(100))
	}
	start := len(b)
	b = f.append(b, size, flags)

	sum := &g.truth.IPv4
	if f.six {
		sum = &g.truth.IPv6
	}
	if bit := uint64(1) << (k % 64); g.seen[k/64]&bit == 0 {
		g.seen[k/64] |= bit
		sum.Flows++
	}
	sum.Packets++
	sum.Octets += uint64(len(b) - start - ethernetLen)
	return b
}

// Truth accounts for the frames so far.
func (g *Generator) Truth() Truth { return g.truth }

// pick chooses the flow of the next packet.
func (g *Generator) pick() int {
	switch {
	case g.spec.InTurn:
		k := g.turn
		g.turn = (k + 1) % g.spec.Flows
		return k
	case g.zipf != nil:
		return int(g.zipf.Uint64())
	}
	return g.rand.IntN(g.spec.Flows)
}

// mix returns the frame size of the simple Internet mix for n in 0 to 11.
func mix(n uint32) int {
	switch {
	case n < 7:
		return 60
	case n < 11:
		return 590
	}
	return 1514
}

// lifelike returns TCP flags for n in 0 to 99.
func lifelike(n uint32) byte {
	switch {
	case n < 50:
		return tcpACK
	case n < 90:
		return tcpACK | tcpPSH
	case n < 93:
		return tcpSYN
	case n < 99:
		return tcpACK | tcpFIN
	}
	return tcpACK | tcpRST
}
