// Package ledger accounts for every packet from the first counter on its path
// to the collector.
//
// Each term is counted where the thing happens, by whoever does it, and none is
// computed from the others: that is why the identities of [Ledger.Balance] can
// fail, and why they mean something when they hold.
package ledger
