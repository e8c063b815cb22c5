package manifest

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
)

// blockSize is the text of one block, a gzip member where it is compressed. Members are compressed each by itself, so that all
// CPUs can do so at once, and cut by size alone, so that they are the same each time.
const blockSize = 1 << 20

// blocks writes what is put into buf, compressed or plain, while more is put there.
type blocks struct {
	w      io.Writer
	plain  bool
	buf    []byte
	queue  chan chan block // in the order of the text
	done   chan error      // what the writing goroutine came to
	failed chan struct{}   // closed once it has an error
}

// block is what is written at once.
type block []byte

func newBlocks(w io.Writer, plain bool) *blocks {
	b := &blocks{
		w: w, plain: plain, buf: make([]byte, 0, blockSize+lineRoom),
		queue: make(chan chan block, runtime.GOMAXPROCS(0)), done: make(chan error, 1), failed: make(chan struct{}),
	}
	go b.write()
	return b
}

// lineRoom is more than a line needs.
const lineRoom = 1 << 12

// spill has the text written once it is a block.
func (b *blocks) spill() error {
	if len(b.buf) < blockSize {
		return nil
	}
	return b.flush()
}

func (b *blocks) flush() error {
	made := make(chan block, 1)
	select {
	case b.queue <- made:
	case <-b.failed:
		return b.close()
	}
	if b.plain {
		made <- b.buf
	} else {
		go compress(b.buf, made)
	}
	b.buf = make([]byte, 0, blockSize+lineRoom)
	return nil
}

func compress(text []byte, made chan<- block) {
	member := new(bytes.Buffer)
	z, _ := gzip.NewWriterLevel(member, gzip.BestSpeed) // the level is valid
	_, _ = z.Write(text)                                // a buffer has no error
	_ = z.Close()
	made <- member.Bytes()
}

// write writes blocks in the order of their text.
func (b *blocks) write() {
	for made := range b.queue {
		if _, err := b.w.Write(<-made); err != nil {
			b.done <- err
			close(b.failed)
			return
		}
	}
	b.done <- nil
}

// close waits until everything is written.
func (b *blocks) close() error {
	err := <-b.done
	b.done <- err // for whoever asks again
	return err
}

// finish writes what is left and waits.
func (b *blocks) finish() error {
	if len(b.buf) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	close(b.queue)
	return b.close()
}
