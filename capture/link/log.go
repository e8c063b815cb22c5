//go:build linux

package link

import "log/slog"

// LogChanges says which interfaces came and went; both lists are sorted.
func LogChanges(log *slog.Logger, before, after []string) {
	had := map[string]bool{}
	for _, name := range before {
		had[name] = true
	}
	for _, name := range after {
		if !had[name] {
			log.Info("interface added", "interface", name)
		}
		delete(had, name)
	}
	for _, name := range before {
		if had[name] {
			log.Info("interface gone", "interface", name)
		}
	}
}

// WarnStacked says of each chosen interface that it lies below another, unless
// that is in warned, where it then is. links are all interfaces of the host.
func WarnStacked(log *slog.Logger, links, chosen []Link, warned map[string]bool) {
	for _, upper := range chosen {
		lower := map[uint32]bool{}
		Below(links, upper, lower)
		for _, l := range chosen {
			pair := l.Name + " below " + upper.Name
			if lower[l.Index] && !warned[pair] {
				warned[pair] = true
				log.Warn("an interface lies below another selected one: packets through both are metered twice",
					"lower", l.Name, "upper", upper.Name)
			}
		}
	}
}
