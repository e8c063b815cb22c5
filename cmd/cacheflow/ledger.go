package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"cacheflow/cmd/internal/ledger"
)

// finishLedger writes the final ledger: to the file of that path as JSON, else to stderr
// for a person. A ledger that does not close is a failure.
func finishLedger(stderr io.Writer, path string, l *ledger.Ledger) error {
	if err := writeLedger(stderr, path, l); err != nil {
		return err
	}
	if !l.Closes() {
		return errors.New("the ledger does not close: please report this with the ledger")
	}
	return nil
}

func writeLedger(stderr io.Writer, path string, l *ledger.Ledger) error {
	if path == "" {
		return l.WriteText(stderr)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return joinClose(l.WriteJSON(file), file)
}
