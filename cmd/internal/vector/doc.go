// Package vector has the edge cases of export messages, right and wrong ones, that collectors are
// tested with: the malformed ones that RFC 5471 asks for, by its sections, and others by names.
package vector
