//go:build linux

package afpacket

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// retireTimeout is after which time the kernel hands a block over that is not
// full, in milliseconds (tp_retire_blk_tov); before Linux 6.18 it may take two.
const retireTimeout = 50 * time.Millisecond

// A socket is a packet socket with its ring's memory. Its reader closes it;
// others may set its filter before and after.
type socket struct {
	mu     sync.Mutex
	fd     int // -1 once it is closed
	mem    []byte
	block  int
	closed func() // is told when the memory is free again
}

// openSocket opens a packet socket with a ring of size octets, all of whose
// frames its filter rejects. It is bound last, so that nothing foreign gets in.
func openSocket(size int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, socketError(err)
	}
	s := &socket{fd: fd, block: blockSize(size)}
	if err := s.setUp(size); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func socketError(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	self, pathErr := os.Executable()
	if pathErr != nil {
		self = "PATH"
	}
	return fmt.Errorf("open a packet socket: %w: run with sudo, or once `sudo setcap cap_net_raw+ep %s`", err, self)
}

func (s *socket) setUp(size int) error {
	nothing := filterSpec{nothing: true}
	if err := s.setFilter(&nothing); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("choose TPACKET_V3 (Linux 3.2): %w", err)
	}
	// With TPACKET_V3 since Linux 4.6; a kernel before 6.2 drops, and counts,
	// super-packets of UDP (virtio_net_hdr_from_skb).
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return fmt.Errorf("ask for the vnet header (Linux 4.6): %w", err)
	}
	frame := uint32(2048) // of no meaning in TPACKET_V3, but it is checked
	req := unix.TpacketReq3{
		Block_size: uint32(s.block), Block_nr: uint32(size / s.block),
		Frame_size: frame, Frame_nr: uint32(s.block) / frame * uint32(size/s.block),
		Retire_blk_tov: uint32(retireTimeout.Milliseconds()),
	}
	if err := unix.SetsockoptTpacketReq3(s.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return ringError(size, err)
	}
	mem, err := unix.Mmap(s.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return ringError(size, err)
	}
	s.mem = mem
	return nil
}

func ringError(size int, err error) error {
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("ring of %d KiB: %w: choose less ring memory or fewer workers", size>>10, err)
	}
	return fmt.Errorf("ring of %d KiB: %w", size>>10, err)
}

// bind starts capturing on an interface, or on all with index 0.
func (s *socket) bind(index uint32) error {
	return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: int(index)})
}

// ignoreOutgoing spares the kernel the copies of leaving frames that the filter
// rejects. Before Linux 4.20 it does not know how.
func (s *socket) ignoreOutgoing() {
	_ = unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
}

// join enters a fanout group, a new one if group is 0, and returns the group.
// ignoring is ignoreOutgoing for the group, which has a hook of its own.
func (s *socket) join(group int, ignoring bool) (int, error) {
	flags := unix.PACKET_FANOUT_CBPF
	if ignoring {
		flags |= unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	}
	arg := group
	if group == 0 {
		flags |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	} else {
		arg = group & 0xffff
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, arg|flags<<16); err != nil {
		return 0, fmt.Errorf("join the fanout group: %w", err)
	}
	if group != 0 {
		return group, nil
	}
	got, err := unix.GetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return 0, fmt.Errorf("ask for the fanout group: %w", err)
	}
	return got&0xffff | 1<<16, nil // the bit tells group 0 from none
}

// setProgram gives the fanout group of the socket its program.
func (s *socket) setProgram(program []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, &prog); err != nil {
		return fmt.Errorf("set the fanout program: %w", err)
	}
	return nil
}

// setFilter replaces the socket's filter at one stroke. Any goroutine may call
// it; a closed socket does nothing.
func (s *socket) setFilter(spec *filterSpec) error {
	code, err := spec.filter()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("set the socket's filter: %w", err)
	}
	return nil
}

// statistics returns how many frames the kernel saw, lost ones among them, and
// how many it lost, since the last call.
func (s *socket) statistics() (observed, lost uint64) {
	st, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0 // cannot fail on a packet socket
	}
	return uint64(st.Packets), uint64(st.Drops)
}

// clearError takes the error that a poll told of: ENETDOWN, when the interface
// went down. The kernel captures again when it comes up.
func (s *socket) clearError() { _, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR) }

// close frees the ring and closes the socket.
func (s *socket) close() {
	s.mu.Lock()
	fd := s.fd
	s.fd = -1
	s.mu.Unlock()
	if fd < 0 {
		return
	}
	if s.mem != nil {
		_ = unix.Munmap(s.mem) // fails on foreign memory alone
		s.mem = nil
	}
	_ = unix.Close(fd)
	if s.closed != nil {
		s.closed()
	}
}
