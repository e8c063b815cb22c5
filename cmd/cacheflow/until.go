package main

import (
	"context"
	"io"
	"sync"
)

// untilDone reads what another reader has until a context ends, and then returns its error, even
// where that one is a pipe in which nothing comes: a read that blocks is left to the end of the
// process. Nothing is read ahead of the first Read.
type untilDone struct {
	*io.PipeReader
	start func()
}

func newUntilDone(ctx context.Context, r io.Reader) *untilDone {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) }) // it never fails
	return &untilDone{out, sync.OnceFunc(func() {
		go func() {
			_, err := io.Copy(in, r)
			_ = in.CloseWithError(err)
		}()
	})}
}

func (u *untilDone) Read(b []byte) (int, error) {
	u.start()
	return u.PipeReader.Read(b)
}
