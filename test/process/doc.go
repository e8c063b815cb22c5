// Package process runs programs beside a test, here or in a network namespace,
// and ends them with it.
package process
