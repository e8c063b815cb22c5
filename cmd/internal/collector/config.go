package collector

// Config bounds what a Collector keeps and does. The zero value is meant for
// use.
type Config struct {
	// MaxExporters is how many exporter addresses are kept apart; 0 is 256.
	MaxExporters int
	// MaxTemplates is how many templates one exporter can have at once, over
	// all its observation domains; 0 is 512.
	MaxTemplates int
	// MaxFields is how many fields one exporter's templates can have together;
	// 0 is 32768, room for two of the largest that a datagram holds.
	MaxFields int
	// MaxTotalFields is how many fields all templates can have together, at
	// some 130 octets each; 0 is 262144.
	MaxTotalFields int
	// MaxSessions is how many sequence number spaces (version and source id,
	// observation domain or engine) are followed for one exporter; 0 is 64.
	MaxSessions int
	// MaxRecords is how many records one datagram can have; 0 is 16384.
	MaxRecords int
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.MaxExporters, 256}, {&c.MaxTemplates, 512}, {&c.MaxFields, 1 << 15},
		{&c.MaxTotalFields, 1 << 18}, {&c.MaxSessions, 64}, {&c.MaxRecords, 1 << 14},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}
