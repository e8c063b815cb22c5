// Package control lets one process ask a running daemon for its state: JSON
// over HTTP/1.1 over a Unix socket.
//
//	GET  /v1/version      Version
//	GET  /v1/cache        Statistics, then one Flow a line (application/x-ndjson)
//	GET  /v1/export       Export
//	GET  /v1/ledger       ledger.Ledger with its balance
//	GET  /v1/interfaces   Interfaces
//	POST /v1/clear/cache  ends every flow; Cleared
//	POST /v1/clear/stats  resets the statistics; Cleared
//	POST /v1/reload       reads the configuration file again; Reloaded
//
// /v1/cache takes the query of [CacheQuery]. An error is {"error": "…"} with an
// HTTP status that is not 200. Flows are keyed by IANA information element
// names, everything else in lowerCamelCase; times are milliseconds.
package control
