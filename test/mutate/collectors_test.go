package mutate

import "testing"

// collectors breaks what lets records outlive collectors that hang up, go, fill up or move.
var collectors = []Mutation{
	{"cmd/internal/daemon/replay.go", "sync.OnceFunc(reached.Done)", "reached.Done", replay, "TestReplayGoesOnAfterHangup"},
	{"cmd/internal/daemon/reload.go", "g.inherit(gone)", "", replay, "TestReloadReplacesWhoIsDown"},
	{"cmd/internal/daemon/reload.go", "gone = append(gone, g)", "gone = append(gone, g); g.members[0].Hold(false)", replay, "TestReloadWhileNobodyIsUp"},
	{"cmd/internal/daemon/group.go", "e.Room() >= wanted", "true", replay, "TestFullMemberHoldsNobodyUp"},
	{"cmd/internal/daemon/group.go", "roomy |= takers & -takers", "roomy |= takers", replay, "TestFullMemberHoldsNobodyUp"},
	{"export/exporter.go", "if e.remote.IsValid()", "if false", "./export", "TestAssociationStaysWithItsAddress"},
	{"export/resolve.go", "e.cfg.Transport.isStream()", "e.cfg.Transport.isConnected()", "./export", "TestAssociationStaysWithItsAddress"},
	{"export/sender_connection.go", " && !s.postpones()", "", "./export", "TestAssociationGoesOnWithoutFiles"},
	{"export/sender.go", "s.burst.messages[from:end], hasTemplates", "s.burst.messages[:0], hasTemplates", "./export", "TestTemplatesThatCouldNotLeave$"},
	{"export/set.go", "case s.again:", "case false:", "./export", "TestTemplatesThatCouldNotLeaveAlone"},
	{"export/set.go", "s.led, s.again = false, true", "s.again = true", "./export", "TestTemplatesAfterRefusal"},
	{"export/set.go", "if s.again { // what followed", "if false { // what followed", "./export", "TestOptionsThatCouldNotLeave"},
	{"export/set.go", "o.due = min(o.due, o.sent.Add(repeatInterval))", "o.due = 0", "./export", "TestInterfaceTable"},
}

// TestTroubleOfCollectorsIsNoticed: each of them is held by its test.
func TestTroubleOfCollectorsIsNoticed(t *testing.T) {
	root := onDemand(t)
	for _, m := range collectors {
		t.Run(m.File+": "+m.Old, func(t *testing.T) { noticed(t, root, m) })
	}
}
