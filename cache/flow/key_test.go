package flow

import (
	"reflect"
	"testing"
)

// Equal is ==: it tells keys apart by each of their fields.
func TestEqual(t *testing.T) {
	var a Key
	fields := reflect.TypeFor[Key]()
	for i := range fields.NumField() {
		b := a
		f := reflect.ValueOf(&b).Elem().Field(i)
		if f.Kind() == reflect.Array {
			f = f.Index(f.Len() - 1)
		}
		f.SetUint(1)
		if a.Equal(&b) || !b.Equal(&b) {
			t.Errorf("Equal does not look at %s", fields.Field(i).Name)
		}
	}
}
