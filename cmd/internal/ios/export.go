package ios

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"

	"cacheflow/cmd/internal/control"
)

// FlowExport writes `show ip flow export`: a block for each protocol version
// that is exported, with the sums of its collectors. Files, which a router does not write,
// have blocks of their own behind, and so have groups of exporters.
func FlowExport(w io.Writer, e *control.Export) error {
	b := bufio.NewWriter(w)
	if len(e.Exporters) == 0 {
		fmt.Fprintln(b, "Flow export is disabled")
		counters(b, nil)
	}
	var versions []int
	for i := range e.Exporters {
		if v := e.Exporters[i].Version; !e.Exporters[i].File && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	for _, v := range versions {
		var exporters []*control.Exporter
		for i := range e.Exporters {
			if x := &e.Exporters[i]; !x.File && x.Version == v {
				exporters = append(exporters, x)
			}
		}
		fmt.Fprintf(b, "Flow export v%d is enabled for main cache\n", v)
		addresses(b, exporters)
		fmt.Fprintf(b, "  Version %d flow records\n", v)
		counters(b, exporters)
	}
	for i := range e.Exporters {
		if x := &e.Exporters[i]; x.File {
			file(b, x)
		}
	}
	for i := range e.Groups {
		group(b, &e.Groups[i])
	}
	return b.Flush()
}

// file is the block of one exporter that writes files.
func file(w io.Writer, e *control.Exporter) {
	fmt.Fprintf(w, "Flow export to files is enabled for main cache\n  Path             %s (%s)\n", e.Destination, e.Protocol)
	fmt.Fprintf(w, "  %d flows written in %d messages\n", e.Records, e.Datagrams)
	for _, d := range e.Dropped {
		fmt.Fprintf(w, "  %d flows were not written (%s)\n", d.Records, d.Reason)
	}
}

// group is the block of exporters of which one gets a record.
func group(w io.Writer, g *control.Group) {
	fmt.Fprintf(w, "Flow export to group %s is enabled for main cache\n  Mode             %s\n", g.Name, g.Mode)
	for i, m := range g.Members {
		state, gets := "down", "waits"
		if m.Up {
			state = "up"
		}
		if m.Gets {
			gets = "gets flows"
		}
		fmt.Fprintf(w, "    Member(%d)       %s (%s, %s)\n", i+1, m.Exporter, state, gets)
	}
}

func addresses(w io.Writer, exporters []*control.Exporter) {
	fmt.Fprint(w, "  Export source and destination details : \n  VRF ID : Default\n")
	var sources []string
	for _, e := range exporters {
		source := e.Source
		if e.SourceInterface != "" {
			source += " (" + e.SourceInterface + ")"
		}
		if e.Source != "" && !slices.Contains(sources, source) {
			sources = append(sources, source)
			fmt.Fprintf(w, "    Source(%d)       %s\n", len(sources), source)
		}
	}
	for i, e := range exporters {
		host, port, err := net.SplitHostPort(e.Destination)
		if err != nil {
			host, port = e.Destination, "?"
		}
		fmt.Fprintf(w, "    Destination(%d)  %s (%s) \n", i+1, host, port)
	}
}

// Lines of drops that the router counts in datagrams, in its order.
var dropLines = []struct {
	reason control.DropReason
	text   string
}{
	{control.DropUnreachable, "due to no fib"},
	{"", "due to adjacency issues"}, // the kernel's word is unreachable, too
	{control.DropTooLong, "due to fragmentation failures"},
	{"", "due to encapsulation fixup failures"}, // there is no such thing here
}

func counters(w io.Writer, exporters []*control.Exporter) {
	var records, datagrams uint64
	dropped := map[control.DropReason]control.Drop{}
	var reasons []control.DropReason
	for _, e := range exporters {
		records += e.Records
		datagrams += e.Datagrams
		for _, d := range e.Dropped {
			sum, known := dropped[d.Reason]
			if !known {
				reasons = append(reasons, d.Reason)
			}
			dropped[d.Reason] = control.Drop{Reason: d.Reason, Records: sum.Records + d.Records, Datagrams: sum.Datagrams + d.Datagrams}
		}
	}
	fmt.Fprintf(w, "  %d flows exported in %d udp datagrams\n", records, datagrams)
	fmt.Fprintf(w, "  %d flows failed due to lack of export packet\n", dropped[control.DropQueueFull].Records)
	fmt.Fprint(w, "  0 export packets were sent up to process level\n")
	delete(dropped, control.DropQueueFull)
	for _, l := range dropLines {
		fmt.Fprintf(w, "  %d export packets were dropped %s\n", dropped[l.reason].Datagrams, l.text)
		delete(dropped, l.reason)
	}
	for _, r := range reasons { // those that the router does not know
		if d, ok := dropped[r]; ok && d.Datagrams > 0 {
			fmt.Fprintf(w, "  %d export packets were dropped (%s)\n", d.Datagrams, r)
		} else if ok && d.Records > 0 {
			fmt.Fprintf(w, "  %d flows were not exported (%s)\n", d.Records, r)
		}
	}
}
