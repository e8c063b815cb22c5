// Package authority certifies exporters and collectors for tests, and runs openssl's server
// as a collector that it certified.
package authority
