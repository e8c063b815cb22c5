// Package replay holds end-to-end tests of `cacheflow replay`: capture files go
// through the binary, and independent collectors say what came out.
package replay
