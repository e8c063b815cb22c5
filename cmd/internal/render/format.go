package render

import "fmt"

// Format is a form of output.
type Format uint8

const (
	None  Format = iota // nothing is written
	Table               // aligned columns for people
	JSON                // one object a line
	CSV                 // a header line, then one row a record
)

var formatNames = [...]string{None: "none", Table: "table", JSON: "json", CSV: "csv"}

// String returns the format as the command line names it.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// ParseFormat reads what String writes.
func ParseFormat(s string) (Format, error) {
	for f, name := range formatNames {
		if s == name {
			return Format(f), nil
		}
	}
	return None, fmt.Errorf("unknown output format %q: want table, json, csv or none", s)
}
