package verify

import "cacheflow/cmd/internal/manifest"

// Limit takes away the columns that a manifest says its records lack.
func (s *Shows) Limit(lacks []string) {
	columns := map[string]*bool{
		"ipClassOfService": &s.ToS, "tcpControlBits": &s.TCPFlags, "ingressInterface": &s.Input, "egressInterface": &s.Output,
		"bgpSourceAsNumber": &s.SrcAS, "bgpDestinationAsNumber": &s.DstAS, "flowStartMilliseconds": &s.Start, "flowEndMilliseconds": &s.End,
	}
	for _, name := range lacks {
		if is := columns[name]; is != nil {
			*is = false
		}
	}
}

// cut takes from a record what is not shown.
func (s *Shows) cut(r *manifest.Record) {
	keep(&r.ToS, s.ToS)
	keep(&r.TCPFlags, s.TCPFlags)
	keep(&r.Input, s.Input)
	keep(&r.Output, s.Output)
	keep(&r.SrcAS, s.SrcAS)
	keep(&r.DstAS, s.DstAS)
	keep(&r.Start, s.Start)
	keep(&r.End, s.End)
}

func keep[T any](v *T, is bool) {
	if !is {
		var zero T
		*v = zero
	}
}
