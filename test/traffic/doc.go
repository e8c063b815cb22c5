// Package traffic makes reproducible test traffic whose truth is known: frames
// one by one, or a capture file of them.
package traffic
