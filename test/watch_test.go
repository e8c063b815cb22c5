//go:build linux

package test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/test/netns"
)

// watcher notes by which of the server's links a flow came, and so by which the
// gateway sent it: s0 is joined to wan0 and s1 to wan1.
type watcher struct {
	mu   sync.Mutex
	seen map[string]string
}

// watch captures on links of ns until the test ends.
func watch(t *testing.T, ns *netns.NS, links ...string) *watcher {
	t.Helper()
	w := &watcher{seen: map[string]string{}}
	for _, link := range links {
		var handle *pcapgo.EthernetHandle
		var err error
		ns.Run(func() { handle, err = pcapgo.NewEthernetHandle(link) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(handle.Close)
		go func() {
			for {
				data, _, err := handle.ReadPacketData()
				if err != nil {
					return
				}
				w.note(data, "wan"+link[1:])
			}
		}()
	}
	return w
}

func (w *watcher) note(data []byte, link string) {
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy)
	udp, ok := p.TransportLayer().(*layers.UDP)
	if !ok || udp.DstPort != serverPort {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[fmt.Sprint(p.NetworkLayer().NetworkFlow().Dst(), " ", int(udp.SrcPort))] = link
}

// interfaceOf returns the gateway's interface that a flow left by, or nothing.
func (w *watcher) interfaceOf(to string, port int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[fmt.Sprint(to, " ", port)]
}
