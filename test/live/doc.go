// Package live holds the end-to-end tests: the built program meters real packets
// in network namespaces, in both modes of capture, and independent collectors judge
// what it exports.
//
// The full loads are asked for by CACHEFLOW_LONG=1; without it the same tests
// take a share of the time.
package live
