// Package collector receives export datagrams of NetFlow v5, NetFlow v9 and
// IPFIX and decodes them: the Collecting Process of RFC 7011.
//
// The decoding itself is goflow2's, which shares no code with this project's
// exporter. In front of it stands a check that walks every length of a datagram
// first: message, sets, template records, field specifiers, the records of a
// data set. goflow2 is handed one template record or one data record at a time,
// cut to the octet, so that no datagram makes it loop or read beyond. What the
// check refuses is counted by its Reason. Work and memory are bounded by the
// size of a datagram and by Config, whatever it holds.
//
// Templates and sequence numbers are kept for each exporter address, so that
// two exporters with one observation domain do not mix. Over UDP anybody can
// claim an address: a flood of invented exporters or templates replaces the
// least recently used ones, which come back with their next refresh.
package collector
