// Package judge has independent collectors and decoders read what an exporter
// sent: nfcapd, nfacctd, tshark and goflow2. None of them shares code with this
// project; each says only what it decodes.
package judge
