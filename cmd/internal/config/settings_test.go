package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"cacheflow/export"
)

// Settings are what a file would say, with the same bounds.
func TestWithSettings(t *testing.T) {
	keys := []string{"layout", "mtu", "template.timeout", "template.packets", "option.flow-keys"}
	c, err := WithSettings("192.0.2.1:2055", IPFIX, []string{"layout=isr", "template.timeout=5s", "option.flow-keys=off", "template.packets=7"}, keys)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultExporter("192.0.2.1:2055")
	want.Protocol, want.TemplateTimeout, want.TemplatePackets, want.Options.FlowKeys = IPFIX, 5*time.Second, 7, Off
	want.Fields.Layout = export.LayoutISR
	if len(c.Exporters) != 1 || !reflect.DeepEqual(c.Exporters[0], want) {
		t.Errorf("%+v\ninstead of\n%+v", c.Exporters, want)
	}
	for text, want := range map[string]string{
		"layout":                "want KEY=VALUE",
		"queue=1":               "queue: want one of layout, mtu, ",
		"layout=cisco":          "layout: ",
		"layout=asr9000":        "layout: asr9000 is of netflow9 only",
		"mtu=1":                 "mtu: 1: must be",
		"template.timeout=soon": `template.timeout: "soon" is not a duration`,
	} {
		if _, err := WithSettings("192.0.2.1:2055", IPFIX, []string{text}, keys); err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), `"layout": `), want) {
			t.Errorf("%s: %v instead of %s", text, err, want)
		}
	}
	if _, err := WithSettings("192.0.2.1:2055", IPFIX, []string{"mtu=600", "mtu=700"}, keys); err == nil || err.Error() != "mtu=700: given twice" {
		t.Errorf("twice: %v", err)
	}
}
