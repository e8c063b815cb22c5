// Package script proves the command line from outside: scripts in testdata call
// the built binary and pin what it prints and its exit status.
package script
