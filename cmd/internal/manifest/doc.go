// Package manifest writes and reads the truth about generated flow exports: what was sent, to
// the datagram and the record.
//
// A manifest is lines of JSON, plain or compressed as a series of gzip members (RFC 1952 §2.2),
// which every reader of gzip takes for one file. The same traffic makes the same octets. In this order:
//
//	{"manifest":1, "profile":…, "seed":…, "protocol":…, "start":…, "duration":…, "columns":[…]}
//	{"exporter":1, "address":…, "domain":…, "boot":…}    one for each exporter
//	{"datagram":1, "exporter":1, "sequence":…, "time":…, "octets":…, "records":…}
//	[1, 1, "192.0.2.1", …]                               one for each record of that datagram
//	{"restart":…, "exporter":1, "records":…, …}          its new boot time, and what was lost with it
//	{"clock":…, "exporter":1, "at":…, "boot":…}          what its clocks did, see below
//	{"total":"exporter", …}                              sums, see below
//	{"end":"complete", …}
//
// Where the traffic was that of capture files, the first line has capture, their names, repeat, how
// many times they were played, and mirror, if each exporter saw all of it, in place of the profile;
// there is no duration then unless it was cut.
//
// An exporter's address is "" where the kernel chose it, so that the manifest depends on nothing
// else. Its domain is the Source ID of NetFlow v9, the Observation Domain ID of IPFIX, or engine
// type × 256 + engine id of NetFlow v5. Datagrams are counted from 1 for each exporter, those with
// templates or options data only among them; sequence is the header's, time is when it was due in
// milliseconds since 1970, records counts flow records. A member fault says what was done to it on
// purpose: "drop" (it was not sent), "duplicate" (it was sent twice), "reorder" (it was sent behind
// its exporter's next one), "delay" (it was sent later), "truncate" (only its first half was sent) or
// "jump" (from it on the exporter's sequence numbers are larger; sequence is what was sent). A member
// templates says what was done to the templates that it had: "late" or "lost" (they were taken out,
// and where nothing was left the datagram was dropped), "changed" (the fields are in the opposite
// order) or "withdrawn" (there are withdrawals in their place). Datagrams stand in the order in
// which they left. Where there are faults, the first line has them as they were asked for.
//
// A line with clock says what an exporter's clocks did on purpose before its datagrams behind that
// line, but for those that reorder or delay held back: "wrap" (sysUpTime began anew, after 2^32 ms) or
// "step" (its wall clock jumped by that much, and with it all times of its records, also of flows that
// began before). Boot is when sysUpTime was 0, as the headers of these datagrams tell it. Times of datagrams, restarts and these lines are
// of the traffic, whose clock is right; those of records are what a collector should show.
//
// A record is an array, for the sake of size; the manifest's first line names its columns by IANA
// elements: exporter and datagram, the flow key (addresses of either IP version), what was
// counted, and the route. What of these the protocol or the layout does not carry, the first line
// lists as lacks. Its times are those that the protocol carries, in milliseconds since
// 1970. NetFlow v9 has them relative to a header of whole seconds: so there they are up to a second
// before the traffic's own, and just what a collector computes. Autonomous systems are as
// records carry them: 23456 where one has no room in two octets (RFC 6793 §9). A flow whose counters exceed
// NetFlow v5's 32 bits is several records, as it is on the wire. A record that was changed on purpose
// has one column more, which says how: "limits" (packets and octets are 2^32-1, 2^32, 2^63 or 2^64-1,
// or a part of that) or "reversed" (its end is before its start). One that a collector cannot have, since what arrived before its
// datagram left and with it gave "no template" for it or an "old template", has that as its last column.
//
// Totals, which are modulo 2^64, are of records, packets and octets: by exporter (with its datagrams, and the records
// that the protocol cannot carry, such as IPv6 in NetFlow v5), by exporter and ingress interface,
// and by exporter and minute, that of the flow's start. The last line sums all up; its end is
// "interrupted" where somebody stopped the traffic, or a capture was damaged: what is listed was sent, and nothing else.
// A manifest without a last line is cut off.
package manifest
