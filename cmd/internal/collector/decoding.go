package collector

// decoding is one datagram on its way.
type decoding struct {
	*Collector
	exporter *exporter
	session  *session
	message  message
	emit     func(*Record)

	units     int // data records, options among them
	templates int // template records, refused ones too
	// sure says that what the header's figures count was recognised: of IPFIX
	// data records, of v9 template records as well.
	sure bool
}

func (d *decoding) found(r Reason) { d.stats.Found[r]++ }

// Set ids that are not of data.
const (
	templateSet9 = 0
	optionsSet9  = 1
	templateSet  = 2
	optionsSet   = 3
	firstDataSet = 256
)

// sets walks the message's sets, whose lengths have been checked.
func (d *decoding) sets() {
	v9 := d.message.version == netflow9
	for b := d.message.sets; len(b) > 0; {
		id, n := be.Uint16(b), int(be.Uint16(b[2:]))
		body := b[setSize:n]
		b = b[n:]
		switch {
		case id >= firstDataSet:
			d.dataSet(id, body)
		case v9 && id == templateSet9, !v9 && id == templateSet:
			d.templateSet(body, false)
		case v9 && id == optionsSet9, !v9 && id == optionsSet:
			d.templateSet(body, true)
		default:
			d.found(ReservedSet)
			d.sure = d.sure && !v9
		}
	}
	if v9 && d.sure && int(d.message.count) != d.units+d.templates {
		d.found(CountMismatch)
	}
}
