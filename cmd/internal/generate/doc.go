// Package generate is a number of routers in one process: each has its own traffic, flow cache,
// boot time, identity and sequence numbers, and all of it is real but for the packets. What they
// send is known to the record, and a manifest says it.
//
// Time is virtual and goes in rounds of a quarter of a second, in which the routers, each on its
// own, meter and encode (export.Session, without a clock). Between two rounds their datagrams are
// brought into the order of time and sent, while the next round is under way. So what is sent and
// written depends on the configuration alone, and not on how fast it goes or on how many CPUs.
//
// Sessions are driven directly rather than through an export.Exporter, because its queue and its
// pacing know records and datagrams but not which record is in which datagram, and because a
// goroutine each for a thousand routers would leave their order to the scheduler.
package generate
