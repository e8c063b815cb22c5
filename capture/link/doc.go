// Package link finds the host's network interfaces, selects those to capture on,
// and follows them as they come and go.
package link
