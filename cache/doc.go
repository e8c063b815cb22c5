// Package cache is the Metering Process (RFC 7011 §2): a fixed-size hashed flow
// cache that behaves like a router's route cache.
//
// A Table is owned by one goroutine. It never reads a clock and never does
// I/O: time comes with the packets and with the horizon.
package cache
