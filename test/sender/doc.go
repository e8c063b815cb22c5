// Package sender puts raw frames on an interface of a test's own network
// namespace, at a rate or as fast as one core can, and says exactly what went out.
package sender
