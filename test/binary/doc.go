// Package binary builds the cacheflow binary for tests and runs it as a user does.
package binary
