package pcapfile

import (
	"errors"
	"fmt"
	"io"
	"math"

	"cacheflow/capture"
)

// record is one packet of a file.
type record struct {
	data []byte // valid until the next record is read
	wire int    // its length when it was on the wire, in octets
	// stamp is in nanoseconds since the Unix epoch, 0 to 2^63-1; untimed says
	// that the file has none for this packet.
	stamp   int64
	untimed bool
	on      *port
}

// port is an interface as one file describes it.
type port struct {
	id   int    // its place in the file, from 0
	name string // "" where the file does not tell
	link capture.LinkType
	// counters are the source's, from the first packet on.
	counters *capture.Counters
}

// format reads one kind of file.
type format interface {
	// next reads a packet. It returns io.EOF at a clean end, and
	// io.ErrUnexpectedEOF where the file ends inside something.
	next(*record) error
}

// Bounds of what a file may ask for.
const (
	// maxPacket is the largest captured packet that is read, in octets. It is
	// four times the largest that tcpdump writes (MAXIMUM_SNAPLEN), so that an
	// IPv6 jumbogram of a loopback device fits.
	maxPacket = 1 << 20
	// maxInterfaces bounds the interfaces of a replay.
	maxInterfaces = 1 << 16
	// maxName bounds an interface's name in octets.
	maxName = 64
)

// errTooLarge says that a length cannot be right.
func errTooLarge(octets uint32) error {
	return fmt.Errorf("packet of %d octets, more than %d", octets, maxPacket)
}

// lengthOnWire keeps a claimed length in an int of 32 bits.
func lengthOnWire(n uint32) int { return int(min(n, math.MaxInt32)) }

// cut turns the end of the file into an error where something had begun.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
