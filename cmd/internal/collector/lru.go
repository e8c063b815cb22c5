package collector

import "container/list"

// lru is a map of bounded size that replaces its least recently used entry.
type lru[K comparable, V any] struct {
	max   int
	byKey map[K]*list.Element
	order *list.List // of *lruEntry, the most recently used in front
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) lru[K, V] {
	return lru[K, V]{size, make(map[K]*list.Element), list.New()}
}

func (l *lru[K, V]) len() int { return len(l.byKey) }

// get returns the value of k and makes it the most recently used.
func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e, ok := l.byKey[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

// put sets the value of a key that is not in l.
func (l *lru[K, V]) put(k K, v V) { l.byKey[k] = l.order.PushFront(&lruEntry[K, V]{k, v}) }

// full reports whether one more entry needs room.
func (l *lru[K, V]) full() bool { return len(l.byKey) >= l.max }

func (l *lru[K, V]) remove(k K) {
	if e, ok := l.byKey[k]; ok {
		l.order.Remove(e)
		delete(l.byKey, k)
	}
}

// oldest returns the least recently used entry of an l that is not empty.
func (l *lru[K, V]) oldest() (K, V) {
	e := l.order.Back().Value.(*lruEntry[K, V])
	return e.key, e.value
}

// all calls f for each value, the most recently used first.
func (l *lru[K, V]) all(f func(K, V)) {
	for e := l.order.Front(); e != nil; e = e.Next() {
		entry := e.Value.(*lruEntry[K, V])
		f(entry.key, entry.value)
	}
}
