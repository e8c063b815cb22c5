package main

import (
	"cmp"
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

// finishLedger writes the final ledger of work that ended with err: to its file as JSON, or
// without one to stderr for a person. A ledger that does not close is a failure. Work that did
// not begin has no ledger, and leaves its file as it was.
func finishLedger(stderr io.Writer, file *outFile, l *ledger.Ledger, err error) error {
	if l == nil {
		if file != nil {
			err = joinClose(err, file)
		}
		return err
	}
	lerr := writeLedger(stderr, file, l)
	if lerr == nil && !l.Closes() {
		lerr = errors.New("the ledger does not close: please report this with the ledger")
	}
	return cmp.Or(err, lerr)
}

func writeLedger(stderr io.Writer, file *outFile, l *ledger.Ledger) error {
	if file == nil {
		return l.WriteText(stderr)
	}
	return joinClose(l.WriteJSON(file), file)
}
