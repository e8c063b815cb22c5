//go:build linux

package afpacket

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// A ring is the memory that the kernel shares with us: blocks of frames
// (linux/if_packet.h, TPACKET_V3). The kernel fills one block after another and
// hands each over, full or after retireTimeout; we read it and hand it back.
// One goroutine reads a ring.
type ring struct {
	mem   []byte
	block int // size of a block in octets

	at   int     // the block that is read now, or that will be read next
	open bool    // it is ours, and left frames of it from next on are not read
	left uint32  // frames
	next uint32  // offset of the next frame in mem
	time reading // both clocks, when the block was opened

	// horizon: every frame stamped before it has been read.
	horizon flow.Time
}

// descriptor is struct tpacket_block_desc with the tpacket_hdr_v1 of its union.
type descriptor struct {
	_   [8]byte // version, offset_to_priv
	hdr unix.TpacketHdrV1
}

const (
	// sllOffset is where a frame's sockaddr_ll stands, from its tpacket3_hdr:
	// TPACKET_ALIGN(sizeof(struct tpacket3_hdr)).
	sllOffset = (unix.SizeofTpacket3Hdr + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)
	// vnetSize is sizeof(struct virtio_net_hdr), which ends where the frame begins.
	vnetSize = 10
	// minFrame is what a frame takes in a block at the least.
	minFrame = sllOffset + int(unsafe.Sizeof(unix.RawSockaddrLinklayer{}))
)

func (r *ring) blocks() int { return len(r.mem) / r.block }

func (r *ring) descriptor(block int) *descriptor {
	return (*descriptor)(unsafe.Pointer(&r.mem[block*r.block]))
}

// peek opens the next block if it is ours and reports whether it was. before is
// the present, read before the call: a block that is still the kernel's and
// empty then shows that every earlier frame has been read.
func (r *ring) peek(clock *Clock, before flow.Time) bool {
	hdr := &r.descriptor(r.at).hdr
	if atomic.LoadUint32(&hdr.Block_status)&unix.TP_STATUS_USER == 0 {
		if atomic.LoadUint32(&hdr.Num_pkts) == 0 {
			r.advance(before - slack)
		} else {
			r.time = clock.read()
			r.advance(r.opened(hdr, before) - slack)
		}
		return false
	}
	r.time = clock.read()
	r.advance(r.opened(hdr, before) - slack)
	r.open = true
	r.left = hdr.Num_pkts
	r.next = uint32(r.at*r.block) + hdr.Offset_to_first_pkt
	return true
}

// opened is when the kernel opened the block: ts_first_pkt is that, not the
// stamp of the first frame (prb_open_block in net/packet/af_packet.c).
func (r *ring) opened(hdr *unix.TpacketHdrV1, before flow.Time) flow.Time {
	t, _ := r.time.stamp(hdr.Ts_first_pkt.Sec, hdr.Ts_first_pkt.Usec, r.horizon)
	return min(t, before)
}

func (r *ring) advance(t flow.Time) { r.horizon = max(r.horizon, t) }

// take returns the header of the next frame of the open block; nil, with the
// frames that are lost by it, where the block is not laid out as it should be.
func (r *ring) take() (hdr *unix.Tpacket3Hdr, lost uint32) {
	end := uint32((r.at + 1) * r.block)
	if r.next > end-uint32(minFrame) || int(r.next) < r.at*r.block {
		lost, r.left = r.left, 0
		return nil, lost
	}
	hdr = (*unix.Tpacket3Hdr)(unsafe.Pointer(&r.mem[r.next]))
	r.left--
	if r.left > 0 && (hdr.Next_offset == 0 || hdr.Next_offset > end-r.next) {
		lost, r.left = r.left+1, 0
		return nil, lost
	}
	return hdr, 0
}

// skip goes on to the frame behind the one that take returned.
func (r *ring) skip(hdr *unix.Tpacket3Hdr) { r.next += hdr.Next_offset }

// release hands the block that was read back to the kernel. Its count of frames
// is set to 0 first: the kernel does so only when it opens the block again.
func (r *ring) release() {
	hdr := &r.descriptor(r.at).hdr
	atomic.StoreUint32(&hdr.Num_pkts, 0)
	atomic.StoreUint32(&hdr.Block_status, unix.TP_STATUS_KERNEL)
	r.open = false
	r.at++
	if r.at == r.blocks() {
		r.at = 0
	}
}

// waiting counts the frames that have not been read, those of the block that
// the kernel fills now among them.
func (r *ring) waiting() uint64 {
	n, at := uint64(0), r.at
	for range r.blocks() {
		hdr := &r.descriptor(at).hdr
		ours := atomic.LoadUint32(&hdr.Block_status)&unix.TP_STATUS_USER != 0
		if at == r.at && r.open {
			n += uint64(r.left)
		} else {
			n += uint64(atomic.LoadUint32(&hdr.Num_pkts))
		}
		if !ours {
			break
		}
		at++
		if at == r.blocks() {
			at = 0
		}
	}
	return n
}
