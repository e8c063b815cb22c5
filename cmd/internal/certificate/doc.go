// Package certificate reads the certificates by which an exporter and its collector
// know each other.
package certificate
