// Package flow is the vocabulary that every stage shares: the Flow Key, the
// Packet that an Observation Point hands over, and the Flow Record that leaves
// the cache (the terms are those of RFC 7011 §2).
//
// It imports the standard library only. None of its types holds a pointer, so
// that a table of them costs the garbage collector nothing.
package flow
