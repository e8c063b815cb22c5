package main

import (
	"errors"
	"fmt"
	"io"

	"cacheflow/cmd/internal/ledger"
)

// openLedger opens the file that the final ledger goes to; without a path it is nil.
func openLedger(path string) (*outFile, error) {
	if path == "" {
		return nil, nil
	}
	file, err := openOut(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return file, nil
}

// finishLedger writes the final ledger: to its file as JSON, or without one to stderr for a
// person. A ledger that does not close is a failure.
func finishLedger(stderr io.Writer, file *outFile, l *ledger.Ledger) error {
	if err := writeLedger(stderr, file, l); err != nil {
		return err
	}
	if !l.Closes() {
		return errors.New("the ledger does not close: please report this with the ledger")
	}
	return nil
}

func writeLedger(stderr io.Writer, file *outFile, l *ledger.Ledger) error {
	if file == nil {
		return l.WriteText(stderr)
	}
	return joinClose(l.WriteJSON(file), file)
}
