// Package ios renders the state of a daemon in the formats of a router's `show`
// commands, to the column.
//
// What the outputs of IOS 15 routers prove is reproduced verbatim, trailing
// blanks included. The columns of `show ip cache verbose flow` follow the
// router's header line. The IPv6 output is this project's own: the IPv4 one
// with wider addresses.
//
// Figures are truncated, not rounded: the router computes with integers.
package ios
