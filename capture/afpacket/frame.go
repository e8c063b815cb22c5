//go:build linux

package afpacket

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// metadata is what the ring says of a frame besides what capture.Frame holds.
type metadata struct {
	index   uint32 // ifIndex
	packet  uint8  // PACKET_HOST, PACKET_OUTGOING …
	nonIP   bool   // a device without an Ethernet header, and not IP
	jumped  bool   // the stamp was far ahead
	dropped bool   // the kernel gave the place up again, and counted a drop
	defect  bool   // the place is not laid out as it should be
}

// frame fills f in from the frame at the ring's position, whose header is hdr.
func (r *ring) frame(hdr *unix.Tpacket3Hdr, floor flow.Time, f *capture.Frame) (m metadata) {
	// Without TP_STATUS_USER the place was reserved and not filled: a
	// super-packet that the vnet header cannot tell (tpacket_rcv).
	if hdr.Status&unix.TP_STATUS_USER == 0 {
		m.dropped = true
		return m
	}
	sll := (*unix.RawSockaddrLinklayer)(unsafe.Add(unsafe.Pointer(hdr), sllOffset))
	m.index, m.packet = uint32(sll.Ifindex), sll.Pkttype
	start, wire := uint32(hdr.Mac), hdr.Len
	stop := start + hdr.Snaplen
	if uint64(start)+uint64(hdr.Snaplen) > uint64((r.at+1)*r.block)-uint64(r.next) || start < uint32(minFrame) {
		m.defect = true
		return m
	}
	*f = capture.Frame{Link: capture.LinkEthernet}
	if start >= uint32(minFrame+vnetSize) {
		vnet := r.mem[r.next+start-vnetSize:]
		// struct virtio_net_hdr, in the host's byte order (virtio_legacy_is_little_endian).
		if vnet[1] != unix.VIRTIO_NET_HDR_GSO_NONE {
			f.GSOSize = binary.NativeEndian.Uint16(vnet[4:])
		}
	}
	if sll.Hatype != unix.ARPHRD_ETHER && sll.Hatype != unix.ARPHRD_LOOPBACK {
		f.Link = capture.LinkRaw
		m.nonIP = !isIP(sll.Protocol)
		if link := min(uint32(hdr.Net)-start, hdr.Snaplen); uint32(hdr.Net) > start {
			start, wire = start+link, wire-link
		}
	}
	f.Data = r.mem[r.next+start : r.next+stop : r.next+stop]
	f.Wire = int(wire)
	f.Time, m.jumped = r.time.stamp(hdr.Sec, hdr.Nsec, floor)
	if hdr.Status&unix.TP_STATUS_VLAN_VALID != 0 {
		f.HasTag, f.TCI, f.TPID = true, uint16(hdr.Hv1.Vlan_tci), unix.ETH_P_8021Q
		if hdr.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			f.TPID = hdr.Hv1.Vlan_tpid
		}
	}
	if m.packet == unix.PACKET_OUTGOING {
		f.Direction, f.Output = flow.Egress, m.index
	} else {
		f.Input = m.index
	}
	return m
}

// isIP reports whether sll_protocol, which is in network byte order, is that of
// IP, or says nothing (a packet socket may send so).
func isIP(protocol uint16) bool {
	switch networkOrder(protocol) {
	case unix.ETH_P_IP, unix.ETH_P_IPV6, unix.ETH_P_ALL, 0:
		return true
	}
	return false
}

// networkOrder converts between the host's byte order and the network's.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
