//go:build linux

package route

import "golang.org/x/sys/unix"

// sizeofRule is that of struct fib_rule_hdr (linux/fib_rules.h): family, prefix
// lengths, tos, table, two reserved octets, action, flags.
const sizeofRule = 12

// Priorities of the rules that each network namespace begins with
// (fib_default_rules_init in net/ipv4/fib_rules.c; IPv6 has no table default).
var defaultRules = map[uint32]uint32{
	0:     unix.RT_TABLE_LOCAL,
	32766: unix.RT_TABLE_MAIN,
	32767: unix.RT_TABLE_DEFAULT,
}

// ruleSet collects the rules of one family.
type ruleSet struct {
	seen   map[uint32]bool
	custom bool
}

// add takes the payload of an RTM_NEWRULE message.
func (s *ruleSet) add(b []byte) {
	priority, table, plain := parseRule(b)
	if want, ok := defaultRules[priority]; !plain || !ok || want != table || s.seen[priority] {
		s.custom = true
		return
	}
	s.seen[priority] = true
}

// isCustom reports whether there is any rule besides the default ones, or none
// for local or main. The one for default may lack: that table is left to the
// kernel.
func (s *ruleSet) isCustom() bool { return s.custom || !s.seen[0] || !s.seen[32766] }

// parseRule returns the rule's priority and table; plain is set where it leads
// all packets to the table and says nothing else.
func parseRule(b []byte) (priority, table uint32, plain bool) {
	if len(b) < sizeofRule {
		return 0, 0, false
	}
	const permanent = 1 // FIB_RULE_PERMANENT: not to be deleted
	dst, src, tos, action, flags := b[1], b[2], b[3], b[7], native.Uint32(b[8:])
	plain = dst|src|tos == 0 && action == unix.FR_ACT_TO_TBL && flags&^permanent == 0
	table = uint32(b[4])
	for t, v := range attributes(b[sizeofRule:]) {
		switch t {
		case unix.FRA_TABLE:
			table = number(v)
		case unix.FRA_PRIORITY:
			priority = number(v)
		case unix.FRA_SUPPRESS_PREFIXLEN:
			plain = plain && number(v) == ^uint32(0) // -1: none
		case unix.FRA_PROTOCOL: // who made it
		default:
			plain = false
		}
	}
	return priority, table, plain
}
