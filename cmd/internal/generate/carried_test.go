package generate_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// Autonomous systems come from the profile's networks: goflow2 decodes those that the manifest says,
// of two octets where there are no more.
func TestAutonomousSystems(t *testing.T) {
	for _, c := range []struct {
		protocol export.Protocol
		layout   export.Layout
		large    uint32 // what becomes of 65550
	}{
		{export.NetFlow5, "", 23456}, {export.NetFlow9, "", 65550}, {export.IPFIX, "", 65550},
		{export.NetFlow9, export.LayoutNetFlowOriginal, 23456}, {export.NetFlow9, export.LayoutASR9000, 65550},
	} {
		t.Run(fmt.Sprint(c.protocol, c.layout), func(t *testing.T) {
			g := config(t, "isp-edge", c.protocol)
			g.Routers, g.Duration, g.Profile.IPv6, g.Export.Fields.Layout = 1, 5*time.Second, 0, c.layout
			s := run(t, t.Context(), g)
			all, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
			wantDecoded(t, s, all)
			ends := map[string]int{}
			for i := range all {
				ends[fmt.Sprintf("%d>%d", all[i].SrcAS, all[i].DstAS)]++
			}
			for _, want := range []string{"0>0", "0>64500", "64500>0", fmt.Sprintf("0>%d", c.large), fmt.Sprintf("%d>0", c.large)} {
				if ends[want] < 10 {
					t.Errorf("%d flows %s of %v", ends[want], want, ends)
				}
			}
		})
	}
}

// The manifest says which of its columns no record carries.
func TestLacks(t *testing.T) {
	both := []string{"bgpSourceAsNumber", "bgpDestinationAsNumber"}
	for _, c := range []struct {
		profile  string
		protocol export.Protocol
		fields   export.Fields
		want     []string
	}{
		{"office", export.NetFlow5, export.Fields{}, []string{"flowEndReason"}},
		{"office", export.NetFlow9, export.Fields{}, both},
		{"isp-edge", export.IPFIX, export.Fields{Timestamps: export.TimestampsNanoseconds}, nil},
		{"isp-edge", export.IPFIX, export.Fields{Layout: export.LayoutISR}, slices.Concat(
			[]string{"egressInterface", "flowStartMilliseconds", "flowEndMilliseconds", "sourcePrefixLength", "destinationPrefixLength"}, both, []string{"flowEndReason"})},
		{"isp-edge", export.NetFlow9, export.Fields{Layout: export.LayoutASR1000}, slices.Concat(
			[]string{"tcpControlBits", "sourcePrefixLength", "destinationPrefixLength"}, both, []string{"flowEndReason"})},
	} {
		g := config(t, c.profile, c.protocol)
		g.Routers, g.Duration, g.Export.Fields = 1, time.Second, c.fields
		s := run(t, t.Context(), g)
		m, err := manifest.NewReader(&s.manifest)
		if err != nil || !slices.Equal(m.Header.Lacks, c.want) {
			t.Errorf("%s %+v lacks %q instead of %q, %v", c.protocol, c.fields, m.Header.Lacks, c.want, err)
		}
	}
}
