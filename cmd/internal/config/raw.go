package config

// raw is the file as it stands: each value as text, "" where it is not given.
type raw struct {
	Monitor   rawMonitor    `yaml:"flow-monitor"`
	Exporters []rawExporter `yaml:"flow-exporter"`
	Groups    []rawGroup    `yaml:"flow-exporter-group"`
	Control   rawControl    `yaml:"control"`
	Log       rawLog        `yaml:"log"`
}

type rawMonitor struct {
	Interfaces []string      `yaml:"interfaces"`
	Direction  string        `yaml:"direction"`
	Directions rawDirections `yaml:"interface-direction"`
	Capture    string        `yaml:"capture"`
	Workers    string        `yaml:"workers"`
	RingMemory string        `yaml:"ring-memory"`
	FirstLevel rawFirstLevel `yaml:"first-level"`
	Fragments  string        `yaml:"fragments"`
	OwnExports string        `yaml:"own-exports"`
	Sampler    rawSampler    `yaml:"sampler"`
	Cache      rawCache      `yaml:"cache"`
}

type rawFirstLevel struct {
	Entries string `yaml:"entries"`
	Ring    string `yaml:"ring"`
}

type rawDirections map[string]string

type rawSampler struct {
	OneOutOf string `yaml:"one-out-of"`
	Mode     string `yaml:"mode"`
}

type rawCache struct {
	Entries   string     `yaml:"entries"`
	Preset    string     `yaml:"preset"`
	Timeout   rawTimeout `yaml:"timeout"`
	TCPLinger string     `yaml:"tcp-linger"`
}

type rawTimeout struct {
	Active   string `yaml:"active"`
	Inactive string `yaml:"inactive"`
}

type rawExporter struct {
	Name              string      `yaml:"name"`
	Destination       string      `yaml:"destination"`
	File              rawFile     `yaml:"file"`
	Protocol          string      `yaml:"protocol"`
	Transport         string      `yaml:"transport"`
	Reconnect         string      `yaml:"reconnect"`
	ResolveAgain      string      `yaml:"resolve-again"`
	TLS               rawTLS      `yaml:"tls"`
	Source            string      `yaml:"source"`
	DSCP              string      `yaml:"dscp"`
	TTL               string      `yaml:"ttl"`
	SourceID          string      `yaml:"source-id"`
	ObservationDomain string      `yaml:"observation-domain"`
	EngineType        string      `yaml:"engine-type"`
	EngineID          string      `yaml:"engine-id"`
	MTU               string      `yaml:"mtu"`
	Rate              string      `yaml:"export-rate"`
	Queue             string      `yaml:"queue"`
	Template          rawTemplate `yaml:"template"`
	Option            rawOption   `yaml:"option"`
	WideTCPFlags      string      `yaml:"wide-tcp-flags"`
	Timestamps        string      `yaml:"timestamps"`
	Counters          string      `yaml:"counters"`
	Layout            string      `yaml:"layout"`
	FlowID            string      `yaml:"flow-id"`
	Biflow            string      `yaml:"biflow"`
	V5SamplingMode    string      `yaml:"v5-sampling-mode"`
}

type rawTLS struct {
	Certificate  string   `yaml:"certificate"`
	Key          string   `yaml:"key"`
	CA           string   `yaml:"ca"`
	ServerName   string   `yaml:"server-name"`
	Fingerprints []string `yaml:"fingerprints"`
}

type rawFile struct {
	Path   string    `yaml:"path"`
	Rotate rawRotate `yaml:"rotate"`
	Gzip   string    `yaml:"gzip"`
}

type rawRotate struct {
	Time string `yaml:"time"`
	Size string `yaml:"size"`
}

type rawTemplate struct {
	Packets string `yaml:"packets"`
	Timeout string `yaml:"timeout"`
}

type rawOption struct {
	SamplerTable   string `yaml:"sampler-table"`
	SamplerForm    string `yaml:"sampler-form"`
	InterfaceTable string `yaml:"interface-table"`
	ExporterStats  string `yaml:"exporter-stats"`
	Reliability    string `yaml:"reliability"`
	FlowKeys       string `yaml:"flow-keys"`
}

type rawGroup struct {
	Name      string   `yaml:"name"`
	Mode      string   `yaml:"mode"`
	Exporters []string `yaml:"exporters"`
	Return    string   `yaml:"return"`
}

type rawControl struct {
	Socket string `yaml:"socket"`
	Mode   string `yaml:"mode"`
}

type rawLog struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}
