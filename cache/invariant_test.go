package cache

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// checkInvariants walks everything that links slots.
func checkInvariants(t *testing.T, table *Table) {
	t.Helper()
	walk := func(r ring, sentinel uint32) (slots []uint32) {
		for i := table.nodes.oldest(r, sentinel); i != sentinel; i = table.nodes[i].links[r].prev {
			slots = append(slots, i)
			if len(slots) > int(table.entries) {
				t.Fatalf("ring %d of %d has no end", r, sentinel)
			}
			if l := table.nodes[i].links[r]; table.nodes[l.prev].links[r].next != i || table.nodes[l.next].links[r].prev != i {
				t.Fatalf("slot %d of ring %d is not its neighbours' neighbour", i, r)
			}
		}
		return slots
	}
	used := walk(byUse, table.used)
	if !slices.IsSortedFunc(used, func(a, b uint32) int { return cmp.Compare(table.nodes[a].seen, table.nodes[b].seen) }) {
		t.Fatal("the ring by use is not sorted")
	}
	aged := append(walk(byAge, table.made), walk(byAge, table.ended)...)
	free := int(table.entries - table.fresh)
	for i := table.freeHead; i != table.entries; i = table.nodes[i].links[byAge].next {
		if free++; free > int(table.entries) {
			t.Fatal("the free slots have no end")
		}
		if i >= table.fresh {
			t.Fatalf("slot %d was left, and is fresh", i)
		}
	}
	active := table.Stats().Active
	if len(used) != active || len(aged) != active || free != int(table.entries)-active {
		t.Fatalf("%d flows by use, %d by age, %d slots free; %d active of %d", len(used), len(aged), free, active, table.entries)
	}
	slices.Sort(aged)
	if len(slices.Compact(aged)) != active {
		t.Fatal("a slot is twice in the rings by age")
	}
	taken := 0
	for _, v := range table.index {
		if v != 0 {
			taken++
		}
	}
	if taken != active {
		t.Fatalf("%d places of the index for %d flows", taken, active)
	}
	for _, i := range used {
		k := &table.sums[i].Key
		if table.find(k, table.seeds.hash(k)) != i {
			t.Fatalf("slot %d is not found by its key", i)
		}
	}
}

// gateway answers with a next hop for some flows and with none for others.
type gateway struct{}

func (gateway) Lookup(k *flow.Key, _ uint32, r *flow.Route) uint32 {
	if k.SrcPort%3 != 0 {
		r.NextHopVersion, r.NextHop = 4, [16]byte{192, 0, 2, byte(k.SrcPort)}
	}
	return uint32(k.SrcPort) + 1
}

// However packets are batched, and however Expire and Flush are limited, the same
// records leave in the same order: those that one packet at a time would make.
func TestBatchingDecidesNothing(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			c := modelConfig([]int{16, 33, 100, 300}[seed%4])
			c.Router = gateway{}
			single, want := newTable(t, c)
			c.Seed = [2]uint64{r.Uint64(), r.Uint64()}
			batched, got := newTable(t, c)
			at := 3600 * second
			for range 300 {
				ps := make([]flow.Packet, r.IntN(100))
				for i := range ps {
					at += flow.Time(r.IntN(20)) * flow.Time(time.Millisecond)
					ps[i] = testPacket(uint16(r.IntN(60)*r.IntN(10)), at)
					ps[i].TCPFlags = []uint16{flow.ACK, flow.ACK, flow.ACK, flow.SYN, flow.FIN}[r.IntN(5)]
				}
				batched.Observe(ps)
				for i := range ps {
					single.Observe(ps[i : i+1])
				}
				both := func(act func(*Table) int) {
					if a, b := act(single), act(batched); a != b {
						t.Fatalf("%d and %d flows left", a, b)
					}
				}
				switch limit := r.IntN(80); r.IntN(4) {
				case 0:
					both(func(t *Table) int { return t.Expire(at, limit) })
				case 1:
					active := batched.Stats().Active
					both(func(t *Table) int { return t.Flush(limit) })
					if left := active - batched.Stats().Active; left != min(limit, active) {
						t.Fatalf("Flush(%d) ended %d of %d flows", limit, left, active)
					}
				}
				checkInvariants(t, batched)
			}
			if !slices.Equal(*got, *want) {
				t.Fatal("the records differ")
			}
			checkBalance(t, batched)
			for _, r := range *got {
				var route flow.Route
				egress := gateway{}.Lookup(&r.Key, 0, &route)
				if r.Route != route || r.Egress != egress {
					t.Fatalf("the flow from port %d has the route %+v by %d, given was %+v by %d", r.SrcPort, r.Route, r.Egress, route, egress)
				}
			}
		})
	}
}

// What lies in memory from Config.Alloc must not hold a pointer: the garbage
// collector does not look there.
func TestNoPointersInTheTable(t *testing.T) {
	var look func(reflect.Type)
	look = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Array:
			look(of.Elem())
		case reflect.Struct:
			for i := range of.NumField() {
				look(of.Field(i).Type)
			}
		case reflect.Bool, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		default:
			t.Errorf("there is a %v", of)
		}
	}
	look(reflect.TypeFor[flow.Packet]())
	look(reflect.TypeFor[node]())
}
