package export

// Count is a number of flow records and what they carry.
type Count struct {
	Records uint64 `json:"records"`
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

func (c *Count) add(o Count) {
	c.Records += o.Records
	c.Packets += o.Packets
	c.Octets += o.Octets
}

func (c *Count) sub(o Count) {
	c.Records -= o.Records
	c.Packets -= o.Packets
	c.Octets -= o.Octets
}

// Message is a finished export message: one datagram.
type Message struct {
	// Data is the datagram's payload. It is valid during the sink's call only.
	Data []byte
	// DataRecords counts what the sequence number counts in v5 and IPFIX:
	// records of flows, and options data records.
	DataRecords int
	// Templates counts Template and Options Template Records.
	Templates int
	// Flows is what the message carries of flow records. A record that
	// had to be split counts in the message with its last part; its packets and
	// octets count where they are.
	Flows Count
}
