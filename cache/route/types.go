package route

// Options tell how a Table listens. The zero value is meaningful.
type Options struct {
	// ReceiveBuffer is the size in octets of the socket buffer that holds
	// notifications until they are read; 0 for 4 MiB. What the kernel grants is
	// bounded by net.core.rmem_max unless the process has CAP_NET_ADMIN.
	ReceiveBuffer int
}

// Stats are a Table's counters since its start, summed over its Readers. Lookups
// are not among them: there is one for each flow that the cache added.
type Stats struct {
	Asked     uint64 // lookups for which the kernel was asked
	AskFailed uint64 // of Asked: no answer; the copy's own was taken

	TrackAsked  uint64 // flows to this host that connection tracking was asked about
	Translated  uint64 // of TrackAsked: those that go on to another destination
	TrackFailed uint64 // times that it did not answer, e.g. without CAP_NET_ADMIN

	Notifications uint64 // netlink messages read
	Overruns      uint64 // times that the kernel had to drop notifications (ENOBUFS)
	Resyncs       uint64 // times that the tables were read anew, the first not counted

	Routes [2]int // routes' prefixes in the table main: IPv4, IPv6
	Local  [2]int // the same of the table local
}

// Interface is a network interface as its last notification described it.
type Interface struct {
	Index uint32 // ifIndex
	Name  string // ifName
	Alias string // ifAlias, the operator's description; often empty
	Up    bool   // administratively up and with carrier
}
