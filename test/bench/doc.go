// Package bench measures what spans packages: frames on their way from a capture
// file through the decoder into the cache, and the program as a whole.
package bench
