package export

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Of linux/in.h and linux/in6.h.
const (
	ipTOS, ipTTL, ipRecvTTL, ipRecvTOS                         = 1, 2, 12, 13
	ipv6RecvHopLimit, ipv6HopLimit, ipv6RecvTClass, ipv6TClass = 51, 52, 66, 67
)

// TestMark: the datagrams' IP headers have the code point and the TTL that were asked
// for, single ones and those of a burst; by default a router's.
func TestMark(t *testing.T) {
	if runtime.GOOS != "linux" {
		leaveOut(t, "asks Linux what arrived")
	}
	for _, c := range []struct {
		address           string
		level             int
		class, ttl        int // what the socket is asked to tell
		classType, ttlTyp int32
	}{
		{"127.0.0.1:0", syscall.IPPROTO_IP, ipRecvTOS, ipRecvTTL, ipTOS, ipTTL},
		{"[::1]:0", syscall.IPPROTO_IPV6, ipv6RecvTClass, ipv6RecvHopLimit, ipv6TClass, ipv6HopLimit},
	} {
		for _, m := range []struct {
			transport          Transport
			dscp, ttl, wantTTL uint8
		}{{UDP, 0, 0, 255}, {UDP, 46, 7, 7}, {DTLS, 46, 7, 7}} {
			conn := listen(t, c.address).(*net.UDPConn)
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) {
				for _, o := range []int{c.class, c.ttl} {
					if err := syscall.SetsockoptInt(int(fd), c.level, o, 1); err != nil {
						t.Error(err)
					}
				}
			})
			e, err := New(Config{
				Address: conn.LocalAddr().String(), Protocol: IPFIX, Transport: m.transport, DSCP: m.dscp, TTL: m.ttl,
				Identity: anybody, Handshaker: inClear{calls: new(atomic.Int32)},
			})
			if err != nil {
				t.Fatal(err)
			}
			e.Put(records(100))
			go e.Run(t.Context())
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, oob := make([]byte, 2000), make([]byte, 200)
			for range 4 {
				conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, n, _, _, err := conn.ReadMsgUDP(b, oob)
				if err != nil {
					t.Fatal(err)
				}
				class, ttl := -1, -1
				messages, err := syscall.ParseSocketControlMessage(oob[:n])
				if err != nil {
					t.Fatal(err)
				}
				for _, cm := range messages {
					value := int(cm.Data[0])
					if len(cm.Data) >= 4 {
						value = int(binary.NativeEndian.Uint32(cm.Data))
					}
					switch cm.Header.Type {
					case c.classType:
						class = value
					case c.ttlTyp:
						ttl = value
					}
				}
				if class != int(m.dscp)<<2 || ttl != int(m.wantTTL) {
					t.Errorf("%s by %s: traffic class %#x, TTL %d; want DSCP %d, TTL %d", c.address, m.transport, class, ttl, m.dscp, m.wantTTL)
				}
			}
		}
	}
}
