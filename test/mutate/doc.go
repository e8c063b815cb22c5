// Package mutate proves that the tests can fail: it breaks one line of the
// source at a time, by a compiler overlay, and expects a test to notice.
package mutate

//go:generate go test -count=1 -run TestPage -update
