// Package verify compares what a collector has with the manifest of what was sent.
//
// A record is complete if the collector has it with the same exporter, flow key, counters, TCP
// flags, interfaces, autonomous systems and times, as far as the records carried them and the
// collector's file shows them (nfdump's CSV has times to the second; nothing that only lines of
// JSON say tells exporters apart). What is left is
// paired by addresses, ports and protocol, and told as altered; what finds no partner is missing
// or unexpected. Next hops, prefix lengths and end reasons are not compared.
//
// Without a collector it says what one should show: the Totals of a manifest.
package verify
