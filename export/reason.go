package export

// Reason tells why a flow record, or a datagram with all that it carries, was
// not sent.
type Reason uint8

const (
	None Reason = iota // it was sent

	// Before there was a message.
	QueueFull   // the queue had no room
	Closed      // put after Shutdown
	NotIPv4     // NetFlow v5 carries IPv4 only
	NoIPVersion // the record's version is neither 4 nor 6
	TooLarge    // a counter above 2^48, for counters of four octets

	// The datagram was refused.
	Refused      // ECONNREFUSED, twice: nobody listens at the collector
	BufferFull   // the socket's or the device's buffer stayed full
	TooLong      // EMSGSIZE: above the path MTU
	Unreachable  // no route, no link, or the host is down
	NotPermitted // EPERM, EACCES: a firewall on this host
	NoSource     // the source address is no longer this host's
	OtherError   // any other errno
	Hangup       // TCP: not acknowledged when the connection ended; DTLS: not sent by then
	NotWritten   // its file could not be written
	Moved        // Reclaim took it, for another exporter to send

	NoCollector // Shutdown while the collector's name or address was not usable
	Unsent      // not sent by the time that Shutdown or Run's context left

	Reasons // one more than the largest, for arrays indexed by it
)

var reasonNames = [Reasons]string{
	None:         "none",
	QueueFull:    "queue full",
	Closed:       "put after shutdown",
	NotIPv4:      "not IPv4",
	NoIPVersion:  "no IP version",
	TooLarge:     "counter too large",
	Refused:      "connection refused",
	BufferFull:   "socket buffer full",
	TooLong:      "message too long",
	Unreachable:  "unreachable",
	NotPermitted: "not permitted",
	NoSource:     "source address gone",
	OtherError:   "other error",
	Hangup:       "connection lost",
	NotWritten:   "file not written",
	Moved:        "moved to another exporter",
	NoCollector:  "no collector",
	Unsent:       "unsent at shutdown",
}

// String returns the reason as the ledger prints it.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return reasonNames[OtherError]
}
