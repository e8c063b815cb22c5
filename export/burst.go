package export

// burst is datagrams that leave by one call of the kernel: that costs a fraction of a
// call for each, and wakes a collector on this host once. All are of one size, but
// for the last, which may be shorter (UDP_SEGMENT, udp(7)).
type burst struct {
	data     []byte // of all datagrams
	size     int    // of the first one
	messages []Message
}

// maxSegmented bounds the data of a burst: with the headers it must fit into the 16
// bits of an IP total length.
const maxSegmented = 65_000

// fits reports whether a datagram of n octets can leave with the others.
func (b *burst) fits(n int) bool {
	if len(b.messages) == 0 {
		return true
	}
	return len(b.messages) < maxBurst && n <= b.size && len(b.data)%b.size == 0 && len(b.data)+n <= maxSegmented
}

// add copies a message that fits.
func (b *burst) add(m *Message) {
	if len(b.messages) == 0 {
		b.size = len(m.Data)
	}
	b.data = append(b.data, m.Data...)
	b.messages = append(b.messages, *m)
	b.messages[len(b.messages)-1].Data = nil
}

// datagram returns the data of message i.
func (b *burst) datagram(i int) []byte {
	return b.data[i*b.size : min((i+1)*b.size, len(b.data))]
}

func (b *burst) reset() { b.data, b.messages = b.data[:0], b.messages[:0] }
