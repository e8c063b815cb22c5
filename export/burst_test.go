package export

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
)

// burstSocket is a fakeSocket that takes bursts, or refuses them.
type burstSocket struct {
	*fakeSocket
	refuse error
	bursts int
}

func (f *burstSocket) writeBurst(b []byte, size int) error {
	f.bursts++
	if f.refuse != nil {
		return f.refuse
	}
	for ; len(b) > size; b = b[size:] {
		if _, err := f.Write(b[:size]); err != nil {
			return err
		}
	}
	_, err := f.Write(b)
	return err
}

// TestBurst: the datagrams are the same, in the same order, whether they leave one by
// one, in bursts, or one by one because the kernel refused a burst; all are counted.
func TestBurst(t *testing.T) {
	const n = 1000
	rs := records(n)
	for i := range rs {
		rs[i].Packets = uint64(i + 1)
		if i%97 == 0 { // of another template and another size
			rs[i] = record6()
		}
	}
	send := func(t *testing.T, f socket) (s Stats) {
		synctest.Test(t, func(t *testing.T) {
			e := withSocket(t, f, Config{Protocol: IPFIX, QueueRecords: n})
			e.Put(rs)
			go e.Run(t.Context())
			synctest.Wait()
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = checkLedger(t, e)
		})
		if s.Sent.Records != n {
			t.Errorf("%d records sent of %d", s.Sent.Records, n)
		}
		return s
	}
	plain := &fakeSocket{}
	want := send(t, plain)
	for _, c := range []struct {
		name   string
		refuse error
	}{
		{"bursts", nil},
		{"no checksums by the device", opError(syscall.EIO)},
		{"too long for the path", opError(syscall.EMSGSIZE)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &burstSocket{fakeSocket: &fakeSocket{}, refuse: c.refuse}
			got := send(t, f)
			if got.Datagrams != want.Datagrams || got.Templates != want.Templates || len(f.sent) != len(plain.sent) {
				t.Fatalf("%d datagrams arrived of %+v; want %+v", len(f.sent), got.Datagrams, want.Datagrams)
			}
			for i := range f.sent {
				if !bytes.Equal(f.sent[i], plain.sent[i]) {
					t.Fatalf("datagram %d differs", i)
				}
			}
			if c.refuse != nil && f.bursts != 1 || c.refuse == nil && (f.bursts == 0 || f.bursts > len(f.sent)/2) {
				t.Errorf("%d bursts of %d datagrams", f.bursts, len(f.sent))
			}
		})
	}
}

// TestBurstLost: all datagrams of a burst that cannot be sent are lost with the reason.
func TestBurstLost(t *testing.T) {
	f := &burstSocket{fakeSocket: &fakeSocket{}, refuse: opError(syscall.EPERM)}
	synctest.Test(t, func(t *testing.T) {
		e := withSocket(t, f, Config{Protocol: NetFlow5, QueueRecords: 300})
		e.Put(records(300))
		go e.Run(t.Context())
		synctest.Wait()
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := checkLedger(t, e)
		if s.Dropped[NotPermitted].Records == 0 || s.Failed[NotPermitted].Count*30 != s.Dropped[NotPermitted].Records ||
			s.Sent.Records+s.Dropped[NotPermitted].Records != 300 {
			t.Errorf("%+v", s)
		}
	})
}

// TestKernelBurst: the kernel makes datagrams of a burst, none longer than its size.
func TestKernelBurst(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sock, err := Config{TTL: DefaultTTL}.dial(t.Context(), conn.LocalAddr().String(), netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		b, ok := sock.(burster)
		if !ok {
			leaveOut(t, "the kernel has no UDP_SEGMENT")
		}
		data := make([]byte, 2500)
		for i := range data {
			data[i] = byte(i)
		}
		if err := b.writeBurst(data, 1000); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, want := range []int{1000, 1000, 500} {
			buf := make([]byte, 4096)
			n, _, err := conn.ReadFrom(buf)
			if err != nil || n != want {
				t.Errorf("%s: %d octets, %v; want %d", address, n, err, want)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%s: other octets arrived", address)
		}
		// What the path cannot carry is refused as a burst, and only there.
		if err := b.writeBurst(make([]byte, 3*65_000), 65_000); !wantsSingly(err) {
			t.Errorf("%s: %v", address, err)
		}
		if wantsSingly(errors.New("other")) {
			t.Error("any error is taken for a refused burst")
		}
	}
}
