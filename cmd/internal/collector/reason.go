package collector

// Reason tells what was refused, left out or found wrong.
type Reason uint8

const (
	// Datagrams refused as a whole: nothing in them was used.
	TruncatedHeader Reason = iota // shorter than its version's header
	UnknownVersion                // neither 5, 9 nor 10
	LengthMismatch                // IPFIX: Length is not the datagram's; v5: it is not 24 + 48·count
	BadCount                      // v5: 0 records, or more than 30
	BadSetLength                  // a set is shorter than its header, or ends behind the message

	// Sets left out; the datagram's others were used.
	ReservedSet // a set id that its protocol does not define (RFC 7011 §3.3.2)
	NoTemplate  // data for a template that is not known: their number is unknown

	// Template Records left out.
	TruncatedTemplate // its fields end behind the set: the rest of the set is lost
	BadTemplateID     // below 256
	BadScope          // no scope, more scope fields than fields, lengths not multiples of 4
	EmptyRecord       // no field, or fields of length 0 beyond the few that are accepted
	TooManyFields     // more than Config.MaxFields
	Withdrawal        // must not be sent over UDP (RFC 7011 §8.4); ignored

	// The rest of a data set left out.
	TruncatedRecord // a variable-length field ends behind the set
	TooManyRecords  // more than Config.MaxRecords in the datagram

	// Found wrong, and used all the same.
	CountMismatch // v9: count is not the number of records
	BadPadding    // over three octets behind the last record, or not zeros
	IllegalLength // an element in a length that its type cannot have: written in hexadecimal as elementN
	Other         // goflow2 did not decode what the check let pass: a defect of the check

	Reasons // one more than the largest, for arrays indexed by it
)

// IsDatagram reports whether r refuses a whole datagram.
func (r Reason) IsDatagram() bool { return r <= BadSetLength }

var reasonNames = [Reasons]string{
	TruncatedHeader:   "truncated header",
	UnknownVersion:    "unknown version",
	LengthMismatch:    "length mismatch",
	BadCount:          "bad count",
	BadSetLength:      "bad set length",
	ReservedSet:       "reserved set",
	NoTemplate:        "no template",
	TruncatedTemplate: "truncated template",
	BadTemplateID:     "bad template id",
	BadScope:          "bad scope",
	EmptyRecord:       "empty record",
	TooManyFields:     "too many fields",
	Withdrawal:        "withdrawal",
	TruncatedRecord:   "truncated record",
	TooManyRecords:    "too many records",
	CountMismatch:     "count mismatch",
	BadPadding:        "bad padding",
	IllegalLength:     "illegal length",
	Other:             "other",
}

// String returns the reason as it is printed.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "other"
}

// Error makes a Reason the error of a refused datagram.
func (r Reason) Error() string { return "refuse datagram: " + r.String() }
