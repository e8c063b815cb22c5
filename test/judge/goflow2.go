package judge

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
)

// Goflow2 decodes datagrams in their order with goflow2's decoder. The error
// joins what it complained about.
func Goflow2(datagrams []Datagram) ([]Flow, error) {
	var flows []Flow
	var errs []error
	stores := map[netip.AddrPort]netflow.NetFlowTemplateSystem{}
	for i, d := range datagrams {
		if stores[d.From] == nil {
			stores[d.From] = netflow.CreateTemplateSystem()
		}
		more, err := goflow2(d.Data, stores[d.From])
		if err != nil {
			errs = append(errs, fmt.Errorf("datagram %d: %w", i, err))
		}
		flows = append(flows, more...)
	}
	return flows, errors.Join(errs...)
}

func goflow2(data []byte, templates netflow.NetFlowTemplateSystem) (flows []Flow, err error) {
	if len(data) >= 2 && binary.BigEndian.Uint16(data) == 5 {
		var p netflowlegacy.PacketNetFlowV5
		err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(data), &p)
		for i := range p.Records {
			flows = append(flows, goflow2v5(&p, &p.Records[i]))
		}
		return flows, err
	}
	var v9 netflow.NFv9Packet
	var ipfix netflow.IPFIXPacket
	err = netflow.DecodeMessageVersion(bytes.NewBuffer(data), templates, &v9, &ipfix)
	wall := wallTime(int64(v9.UnixSeconds)*1000, v9.SystemUptime)
	for _, set := range append(v9.FlowSets, ipfix.FlowSets...) {
		if set, ok := set.(netflow.DataFlowSet); ok {
			for _, r := range set.Records {
				flows = append(flows, goflow2Flow(r.Values, wall))
			}
		}
	}
	return flows, err
}

// wallTime returns what converts stamps of sysUpTime to text in milliseconds since 1970, by the
// wall time and the sysUpTime of one header; stamps are within 2^31 ms of it, modulo 2^32. It is
// ours: goflow2's own knows of no wrap in NetFlow v9, and tshark has none.
func wallTime(exported int64, uptime uint32) func(stamp uint32) string {
	return func(stamp uint32) string {
		return strconv.FormatInt(exported-int64(int32(uptime-stamp)), 10)
	}
}

// goflow2Flow names the values of a record of v9 or IPFIX; wall converts sysUpTime.
func goflow2Flow(values []netflow.DataField, wall func(uint32) string) Flow {
	f := make(Flow, len(values))
	for _, v := range values {
		data, ok := v.Value.([]byte)
		if !ok || v.PenProvided {
			continue
		}
		switch v.Type {
		case netflow.NFV9_FIELD_FIRST_SWITCHED:
			f["flowStartMilliseconds"] = wall(uint32(unsigned(data)))
		case netflow.NFV9_FIELD_LAST_SWITCHED:
			f["flowEndMilliseconds"] = wall(uint32(unsigned(data)))
		default:
			f[goflow2Name(v.Type)] = goflow2Text(v.Type, data)
		}
	}
	return f
}

// goflow2Names keeps what IPFIXTypeToString said: it makes its whole table anew
// with each call.
var goflow2Names sync.Map

func goflow2Name(element uint16) string {
	name, ok := goflow2Names.Load(element)
	if !ok {
		name, _ = goflow2Names.LoadOrStore(element, netflow.IPFIXTypeToString(element))
	}
	return name.(string)
}

func goflow2Text(element uint16, data []byte) string {
	switch element {
	case netflow.IPFIX_FIELD_sourceIPv4Address, netflow.IPFIX_FIELD_destinationIPv4Address, netflow.IPFIX_FIELD_ipNextHopIPv4Address,
		netflow.IPFIX_FIELD_sourceIPv6Address, netflow.IPFIX_FIELD_destinationIPv6Address, netflow.IPFIX_FIELD_ipNextHopIPv6Address:
		a, _ := netip.AddrFromSlice(data)
		return a.String()
	case netflow.IPFIX_FIELD_sourceMacAddress, netflow.IPFIX_FIELD_destinationMacAddress:
		return net.HardwareAddr(data).String()
	case netflow.IPFIX_FIELD_mplsTopLabelStackSection, netflow.IPFIX_FIELD_mplsLabelStackSection2, netflow.IPFIX_FIELD_mplsLabelStackSection3:
		return hex.EncodeToString(data)
	}
	return strconv.FormatUint(unsigned(data), 10)
}

func unsigned(data []byte) (n uint64) {
	for _, octet := range data {
		n = n<<8 | uint64(octet)
	}
	return n
}

func goflow2v5(p *netflowlegacy.PacketNetFlowV5, r *netflowlegacy.RecordsNetFlowV5) Flow {
	wall := wallTime(int64(p.UnixSecs)*1000+int64(p.UnixNSecs)/1e6, p.SysUptime)
	address := func(a netflowlegacy.IPAddress) string {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(a)))).String()
	}
	f := Flow{
		"sourceIPv4Address":      address(r.SrcAddr),
		"destinationIPv4Address": address(r.DstAddr),
		"ipNextHopIPv4Address":   address(r.NextHop),
		"flowStartMilliseconds":  wall(r.First),
		"flowEndMilliseconds":    wall(r.Last),
	}
	for name, n := range map[string]uint32{
		"ingressInterface": uint32(r.Input), "egressInterface": uint32(r.Output),
		"packetDeltaCount": r.DPkts, "octetDeltaCount": r.DOctets,
		"sourceTransportPort": uint32(r.SrcPort), "destinationTransportPort": uint32(r.DstPort),
		"tcpControlBits": uint32(r.TCPFlags), "protocolIdentifier": uint32(r.Proto), "ipClassOfService": uint32(r.Tos),
		"bgpSourceAsNumber": uint32(r.SrcAS), "bgpDestinationAsNumber": uint32(r.DstAS),
		"sourceIPv4PrefixLength": uint32(r.SrcMask), "destinationIPv4PrefixLength": uint32(r.DstMask),
	} {
		f[name] = strconv.FormatUint(uint64(n), 10)
	}
	return f
}
