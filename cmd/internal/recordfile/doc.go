// Package recordfile reads files of flow records: IPFIX Files (RFC 5655), decoded by the
// collector, and lines of JSON as render writes them; plain or gzip.
//
// Memory is bounded by the longest message, 65535 octets, and by the collector's bounds.
package recordfile
