//go:build linux

package link

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/test/netns"
)

var discard = slog.New(slog.DiscardHandler)

// What failed is tried again, and said once for each error; the end of the
// context ends it.
func TestFollowTriesAgain(t *testing.T) {
	ns := netns.New(t)
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	looks := 0
	look := func() error {
		if looks++; looks == 3 {
			time.AfterFunc(50*time.Millisecond, cancel)
			return nil
		}
		return errors.New("no luck")
	}
	start := time.Now()
	var err error
	ns.Run(func() {
		err = Follow(ctx, false, func() bool { return false }, slog.New(slog.NewTextHandler(&said, nil)), look)
	})
	if took := time.Since(start); err != nil || looks != 3 || took < 2*retry {
		t.Errorf("%d looks in %v, %v", looks, took, err)
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), `level=ERROR msg="follow the interfaces" err="no luck"`) {
		t.Errorf("log: %s", &said)
	}
}

// A change is looked at, unless the capture was stopped meanwhile.
func TestFollowStops(t *testing.T) {
	ns := netns.New(t)
	looked, ended := make(chan struct{}, 1), make(chan error, 1)
	stops := 0
	stopped := func() bool { stops++; return stops == 2 }
	look := func() error { looked <- struct{}{}; return nil }
	go ns.Run(func() { ended <- Follow(context.Background(), false, stopped, discard, look) })
	<-looked
	ns.MustRun("ip", "link", "set", "lo", "down")
	<-looked
	ns.MustRun("ip", "link", "set", "lo", "up")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-looked:
		t.Error("looked at a change though it was stopped")
	}
}

// A Wake lasts until the Rest after it, and is harmless after Close.
func TestWaker(t *testing.T) {
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	awake := func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	}
	for range 2 {
		if awake() {
			t.Error("awake without a Wake")
		}
		w.Wake()
		w.Wake()
		if !awake() {
			t.Error("a Wake was lost")
		}
		w.Rest()
	}
	w.Close()
	w.Close()
	w.Wake()
	if w.FD() != -1 {
		t.Errorf("FD %d after Close", w.FD())
	}
}
