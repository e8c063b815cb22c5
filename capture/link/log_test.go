//go:build linux

package link

import (
	"bytes"
	"log/slog"
	"testing"
)

// plain returns a log without time stamps, and what is written to it.
func plain() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), &b
}

func TestLogChanges(t *testing.T) {
	log, said := plain()
	LogChanges(log, []string{"a", "b", "d"}, []string{"b", "c"})
	want := `level=INFO msg="interface added" interface=c
level=INFO msg="interface gone" interface=a
level=INFO msg="interface gone" interface=d
`
	if said.String() != want {
		t.Errorf("said\n%swant\n%s", said, want)
	}
}

// Each chosen interface below another is told once, however far below it lies;
// what is not chosen is not told.
func TestWarnStacked(t *testing.T) {
	links := []Link{
		{Index: 2, Name: "port", Master: 4}, {Index: 3, Name: "other", Master: 4},
		{Index: 4, Name: "br0"}, {Index: 5, Name: "br0.7", Lower: 4}, {Index: 6, Name: "apart"},
	}
	log, said := plain()
	warned := map[string]bool{}
	for range 2 {
		WarnStacked(log, links, []Link{links[0], links[3], links[4]}, warned)
	}
	want := `level=WARN msg="an interface lies below another selected one: packets through both are metered twice" lower=port upper=br0.7
`
	if said.String() != want {
		t.Errorf("said\n%swant\n%s", said, want)
	}
}
