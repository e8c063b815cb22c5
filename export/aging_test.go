package export

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAging compares the map with a list, through random work on few keys.
func TestAging(t *testing.T) {
	type entry struct {
		key   tuple
		value int
	}
	const size = 8
	rnd := rand.New(rand.NewPCG(1, 2))
	a, model := newAging[int](size), []entry(nil)
	for i := range 100_000 {
		k := tuple{srcPort: uint16(rnd.IntN(5))}
		at := slices.IndexFunc(model, func(e entry) bool { return e.key == k })
		switch rnd.IntN(4) {
		case 0, 1:
			if a.isFull() != (len(model) == size) {
				t.Fatalf("full %v with %d entries", a.isFull(), len(model))
			}
			if !a.isFull() {
				*a.add(&k) = i
				model = append(model, entry{k, i})
			}
		case 2:
			found := a.find(&k)
			if (found != 0) != (at >= 0) {
				t.Fatalf("%v was found: %v", k, found != 0)
			}
			if found != 0 {
				if v := *a.remove(found); v != model[at].value {
					t.Fatalf("the oldest of %v is %d, want %d", k, v, model[at].value)
				}
				model = slices.Delete(model, at, at+1)
			}
		case 3:
			oldest := a.oldest()
			if (oldest != 0) != (len(model) > 0) {
				t.Fatalf("oldest %d of %d", oldest, len(model))
			}
			if oldest != 0 && rnd.IntN(2) == 0 {
				if v := *a.remove(oldest); v != model[0].value {
					t.Fatalf("the oldest is %d, want %d", v, model[0].value)
				}
				model = model[1:]
			}
		}
		if a.len != len(model) {
			t.Fatalf("%d entries, want %d", a.len, len(model))
		}
	}
}
