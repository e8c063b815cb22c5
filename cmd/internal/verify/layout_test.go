package verify_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/profile"
	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

// forms are the layouts of records; nfcapd 1.7.1 says so where it reads them.
var forms = []struct {
	export.Config
	nfcapd bool
}{
	{export.Config{Protocol: export.NetFlow9, Fields: export.Fields{Layout: export.LayoutNetFlowOriginal}}, true},
	{export.Config{Protocol: export.NetFlow9, Fields: export.Fields{Layout: export.LayoutISR}}, true},
	{export.Config{Protocol: export.NetFlow9, Fields: export.Fields{Layout: export.LayoutASR1000}}, true},
	{export.Config{Protocol: export.NetFlow9, Fields: export.Fields{Layout: export.LayoutASR9000}}, true},
	{export.Config{Protocol: export.NetFlow9, Fields: export.Fields{Timestamps: export.TimestampsMilliseconds, Counters: export.CountersReduced, FlowID: true}}, true},
	{export.Config{Protocol: export.IPFIX, Fields: export.Fields{Layout: export.LayoutISR}}, true},
	{export.Config{Protocol: export.IPFIX, Fields: export.Fields{Layout: export.LayoutASR1000}}, true},
	{export.Config{Protocol: export.IPFIX, Fields: export.Fields{Timestamps: export.TimestampsSysUpTime}, WideTCPFlags: true}, false},
	{export.Config{Protocol: export.IPFIX, Fields: export.Fields{Timestamps: export.TimestampsMicroseconds}}, false},
	{export.Config{Protocol: export.IPFIX, Fields: export.Fields{Timestamps: export.TimestampsNanoseconds, FlowID: true}, MTU: 600}, false},
}

// What a layout carries, collectors have, and verify asks for no more.
func TestForms(t *testing.T) {
	for _, form := range forms {
		t.Run(fmt.Sprint(form.Protocol, form.Fields), func(t *testing.T) {
			change := func(c *generate.Config) {
				p, err := profile.Load("isp-edge")
				if err != nil {
					t.Fatal(err)
				}
				c.Profile, c.Duration, c.Export = &p.Profile, 2*time.Second, form.Config
				c.Profile.Conversations = 600
			}
			if form.nfcapd {
				all, stored := nfcapdHas(t, form.Protocol, change)
				wantComplete(t, compare(t, all, stored), all)
			}
			var lines bytes.Buffer
			c, out := collector.New(collector.Config{}), render.New(&lines, render.JSON, time.Time{}, nil)
			all := generated(t, form.Protocol, "127.0.1.0/24", func(router int, data []byte) error {
				from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(router + 1)}), 1)
				return c.Decode(data, from, time.Time{}, func(r *collector.Record) { _ = out.Decoded(&r.Decoded) })
			}, change)
			if err := out.Flush(); err != nil {
				t.Fatal(err)
			}
			wantComplete(t, compare(t, all, lines.Bytes()), all)
		})
	}
}
