package judge_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/export"
	"cacheflow/test/judge"
	"cacheflow/test/process"
	"cacheflow/test/traffic"
)

// verdict is what one judge says.
type verdict struct {
	flows  []judge.Flow
	errors []string
}

// ask gives the same datagrams to every judge.
func ask(t *testing.T, r *judge.Recorder) map[string]verdict {
	t.Helper()
	r.Settle(200 * time.Millisecond)
	flows, err := judge.Goflow2(r.Datagrams())
	v := verdict{flows: flows}
	if err != nil {
		v.errors = strings.Split(err.Error(), "\n")
	}
	verdicts := map[string]verdict{"goflow2": v}
	nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 1 << 20, NoOptions: true})
	nfacctd := judge.StartNfacctd(t, judge.NfacctdConfig{})
	r.Forward(nfcapd.Address)
	r.Forward(nfacctd.Address)
	stopped := make(chan struct{})
	go func() { // nfacctd takes its time
		defer close(stopped)
		nfacctd.Stop(len(flows))
	}()
	nfcapd.Stop()
	tshark := judge.NewTshark(t, r)
	verdicts["tshark"] = verdict{tshark.Flows(0), tshark.Errors()}
	<-stopped
	verdicts["nfcapd"] = verdict{nfcapd.Flows(), nfcapd.Errors()}
	verdicts["nfacctd"] = verdict{nfacctd.Flows(), nfacctd.Errors()}
	if s := nfcapd.Statistics(); s.Sum != judge.Add(verdicts["nfcapd"].flows) {
		t.Errorf("nfdump -I says %+v, its records %+v", s.Sum, judge.Add(verdicts["nfcapd"].flows))
	}
	return verdicts
}

// TestSoftflowd has every judge read what an exporter of other authors sends.
func TestSoftflowd(t *testing.T) {
	process.Need(t, "softflowd")
	file := filepath.Join(t.TempDir(), "traffic.pcap")
	truth, err := traffic.WriteFile(file, traffic.Spec{Packets: 3000, Flows: 80, Zipf: 1.2, IPv6: 25, Lifelike: true, Interval: 500 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"5", "9", "10"} {
		t.Run("v"+version, func(t *testing.T) {
			t.Parallel()
			r := judge.StartRecorder(t, netip.AddrPort{})
			if out, err := exec.Command("softflowd", "-r", file, "-n", r.Address.String(), "-v", version, "-d").CombinedOutput(); err != nil {
				t.Fatalf("softflowd: %v\n%s", err, out)
			}
			want := truth.Total()
			if version == "5" {
				want = truth.IPv4
			}
			verdicts := ask(t, r)
			for name, v := range verdicts {
				if got := judge.Add(v.flows); got.Packets != want.Packets || got.Octets != want.Octets {
					t.Errorf("%s reads %+v, the truth is %+v", name, got, want)
				}
			}
			for _, difference := range judge.Compare(verdicts["tshark"].flows, verdicts["goflow2"].flows, 0) {
				t.Errorf("tshark and goflow2 differ: %s", difference)
			}
		})
	}
}

// boot is when the timeline of the records below begins.
var boot = time.Unix(1_700_000_000, 0)

// record makes the i-th of a series of records that use every field.
func record(i int) flow.Record {
	r := flow.Record{End: flow.EndReason(1 + i%5)}
	r.Version, r.Src, r.Dst = 4, [16]byte{10, 1, byte(i >> 8), byte(i)}, [16]byte{10, 9, 8, 7}
	r.SrcPort, r.DstPort, r.Protocol, r.ToS, r.Input, r.Egress = uint16(1000+i), 443, flow.ProtocolTCP, 0xb8, 7, 9
	r.TCPFlags, r.MinTTL, r.MaxTTL, r.MinLength, r.MaxLength = 0x1b, 60, 64, 40, 1500
	r.Packets, r.Octets = uint64(12+i), uint64(3456+i)
	r.First = flow.Time(time.Hour) + flow.Time(i)*flow.Time(7*time.Millisecond)
	r.Last = r.First.Add(time.Duration(4111+i) * time.Millisecond)
	r.Expired = flow.Time(time.Hour + time.Minute)
	r.SrcMAC, r.DstMAC = [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}
	r.Status, r.NextHop, r.NextHopVersion, r.SrcPrefixLen, r.DstPrefixLen = flow.Forwarded, [16]byte{192, 0, 2, 1}, 4, 8, 24
	switch i % 4 {
	case 1:
		r.Version, r.Src, r.Dst = 6, [16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}, [16]byte{0x20, 1, 0xd, 0xb8, 15: 2}
		r.NextHop, r.NextHopVersion = [16]byte{0x20, 1, 0xd, 0xb8, 15: 9}, 6
		r.FlowLabel, r.SrcPrefixLen, r.DstPrefixLen = 0x12345, 64, 48
	case 2:
		r.Protocol, r.SrcPort, r.DstPort, r.TCPFlags = flow.ProtocolICMP, 0, 0x0301, 0
	case 3:
		r.VLAN, r.CustomerVLAN = 0x6064, 0x2065
		r.MPLS, r.MPLSDepth = [3][3]byte{{0, 1, 0x10}, {0, 2, 0x22}, {0, 3, 0x31}}, 4
	}
	return r
}

// expected is the record in a judge's terms.
func expected(r *flow.Record) judge.Flow {
	v := map[uint8]string{4: "IPv4", 6: "IPv6"}[r.Version]
	ms := func(at flow.Time) string { return fmt.Sprint(boot.UnixMilli() + int64(at.Milliseconds())) }
	f := judge.Flow{
		"source" + v + "Address": r.SrcAddr().String(), "destination" + v + "Address": r.DstAddr().String(),
		"ipNextHop" + v + "Address":   r.NextHopAddr().String(),
		"source" + v + "PrefixLength": fmt.Sprint(r.SrcPrefixLen), "destination" + v + "PrefixLength": fmt.Sprint(r.DstPrefixLen),
		"flowStartMilliseconds": ms(r.First), "flowEndMilliseconds": ms(r.Last),
		"sourceMacAddress": "02:00:00:00:00:01", "destinationMacAddress": "02:00:00:00:00:02",
	}
	for name, n := range map[string]uint64{
		"sourceTransportPort": uint64(r.SrcPort), "destinationTransportPort": uint64(r.DstPort),
		"protocolIdentifier": uint64(r.Protocol), "ipClassOfService": uint64(r.ToS), "ipDiffServCodePoint": uint64(r.ToS >> 2),
		"tcpControlBits": uint64(r.TCPFlags), "ingressInterface": uint64(r.Input), "egressInterface": uint64(r.Egress),
		"packetDeltaCount": r.Packets, "octetDeltaCount": r.Octets, "ipVersion": uint64(r.Version),
		"minimumTTL": uint64(r.MinTTL), "maximumTTL": uint64(r.MaxTTL),
		"minimumIpTotalLength": uint64(r.MinLength), "maximumIpTotalLength": uint64(r.MaxLength),
		"flowEndReason": uint64(r.End), "forwardingStatus": uint64(r.Status), "flowLabelIPv6": uint64(r.FlowLabel),
		"vlanId": uint64(r.VLAN & 0xfff), "dot1qPriority": uint64(r.VLAN >> 13), "mplsLabelStackDepth": uint64(r.MPLSDepth),
		"dot1qCustomerVlanId": uint64(r.CustomerVLAN & 0xfff), "dot1qCustomerPriority": uint64(r.CustomerVLAN >> 13),
	} {
		f[name] = fmt.Sprint(n)
	}
	if r.Protocol == flow.ProtocolICMP {
		f["icmpTypeCodeIPv4"] = fmt.Sprint(r.DstPort)
	}
	for i, name := range []string{"mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3"} {
		f[name] = fmt.Sprintf("%x", r.MPLS[i])
	}
	return f
}

// TestEveryField has every judge read records that use all fields.
func TestEveryField(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			t.Parallel()
			r := judge.StartRecorder(t, netip.AddrPort{})
			want := send(t, protocol, r, 400, -1)
			tolerance := time.Duration(0)
			if protocol == export.NetFlow9 {
				tolerance = time.Second
			}
			for name, v := range ask(t, r) {
				for _, line := range v.errors {
					t.Errorf("%s complains: %s", name, line)
				}
				for _, difference := range judge.Compare(v.flows, want, tolerance) {
					t.Errorf("%s: %s", name, difference)
				}
			}
		})
	}
}

// TestALostDatagram has the judges that follow sequence numbers notice a gap.
func TestALostDatagram(t *testing.T) {
	for protocol, judges := range map[export.Protocol][]string{
		export.NetFlow5: {"nfcapd", "nfacctd"},
		export.NetFlow9: {"nfcapd", "nfacctd", "tshark"},
		export.IPFIX:    {"nfcapd", "nfacctd", "tshark"},
	} {
		t.Run(protocol.String(), func(t *testing.T) {
			t.Parallel()
			r := judge.StartRecorder(t, netip.AddrPort{})
			send(t, protocol, r, 400, 3)
			verdicts := ask(t, r)
			for _, name := range judges {
				if len(verdicts[name].errors) == 0 {
					t.Errorf("%s does not complain", name)
				}
			}
		})
	}
}

// send sends n records as one protocol, but for the datagram with the number
// lost, and returns those that the protocol can carry.
func send(t *testing.T, protocol export.Protocol, r *judge.Recorder, n, lost int) (want []judge.Flow) {
	t.Helper()
	conn, err := net.Dial("udp", r.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := export.Config{Protocol: protocol, SourceID: 77, TemplatePackets: 5, Epoch: func() time.Time { return boot }}
	c.Options = export.OptionIntervals{SamplerTable: export.Off, FlowKeys: export.Off} // which nfcapd would take for lost records
	number := 0
	session, err := export.NewSession(c, func(m *export.Message) {
		if number++; number-1 == lost {
			return
		}
		if _, err := conn.Write(m.Data); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		rec := record(i)
		switch reason := session.Append(&rec, rec.Expired); reason {
		case export.None:
			want = append(want, expected(&rec))
		case export.NotIPv4:
		default:
			t.Fatalf("record %d is refused: %v", i, reason)
		}
	}
	session.Flush(flow.Time(time.Hour + 2*time.Minute))
	return want
}
