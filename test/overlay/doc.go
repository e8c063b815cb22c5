// Package overlay changes lines of the source for one build, so that nothing of
// a test stands in the source itself.
package overlay
