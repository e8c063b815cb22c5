// Package kernel is the capture that counts packets inside the kernel: it loads
// the program of package bpf, attaches it to interfaces, and drains its
// first-level cache. What it hands over are sums of packets, not packets.
//
// The cache has two halves (generations). The program writes to one of them; a
// flip has it write to the other, and once the kernel has waited for the runs that
// were under way, the closed half is read and freed through its mapping, without
// a system call for a flow and without a race.
package kernel
