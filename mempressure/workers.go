// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"memline/internal/anon"
	"memline/internal/kernel"
	"memline/internal/pages"
)

// worker is one thread's part of the memory.
type worker struct {
	index int
	mem   []byte
	first int64 // number of its first content page
	done  *atomic.Int64
}

// share divides the memory into contiguous parts, of whole chunks where there are enough of them.
func share(mem []byte, workers int) []*worker {
	unit := anon.Chunk
	if len(mem)/unit < workers {
		unit = kernel.PageSize()
	}
	units := (len(mem) + unit - 1) / unit
	var ws []*worker
	at := 0
	for i := range workers {
		end := min((i+1)*units/workers*unit, len(mem))
		if end > at {
			ws = append(ws, &worker{index: len(ws), mem: mem[at:end], first: int64(at / pages.PageSize), done: new(atomic.Int64)})
		}
		at = end
	}
	return ws
}

// chunks calls f for one chunk of the worker's memory after the other until the context ends, and counts what is done.
func (w *worker) chunks(ctx context.Context, f func(chunk []byte, firstPage int64) error) error {
	for at := 0; at < len(w.mem); at += anon.Chunk {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		chunk := w.mem[at:min(at+anon.Chunk, len(w.mem))]
		if err := f(chunk, w.first+int64(at/pages.PageSize)); err != nil {
			return err
		}
		w.done.Add(int64(len(chunk)))
	}
	return nil
}

// spent is what a phase cost.
type spent struct {
	wall time.Duration
	use  threadUse
	done int64 // bytes
}

// parallel runs f on each worker at the same time, every one on a thread of its own, and adds up what they used. The first
// failure stops the others.
func (s *session) parallel(ctx context.Context, phase string, f func(context.Context, *worker) error) (spent, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun time.Time
	uses, ends, errs := make([]threadUse, len(s.workers)), make([]time.Time, len(s.workers)), make([]error, len(s.workers))
	var lined, running sync.WaitGroup
	begin := make(chan struct{})
	for i, w := range s.workers {
		w.done.Store(0)
		lined.Add(1)
		running.Go(func() {
			anon.Still(func() {
				lined.Done()
				<-begin
				before := currentThread()
				errs[i] = f(ctx, w)
				uses[i].add(currentThread(), before)
				ends[i] = time.Now()
			})
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	lined.Wait()
	begun = time.Now()
	close(begin)
	s.report(phase, &running)
	var sum spent
	for i, w := range s.workers {
		sum.use.add(uses[i], threadUse{})
		sum.wall = max(sum.wall, ends[i].Sub(begun))
		sum.done += w.done.Load()
	}
	if err := context.Cause(ctx); err != nil {
		return sum, err
	}
	return sum, errors.Join(errs...)
}

// report shows the progress of a phase until its workers are done, from here, so that a slow reader does not stop them.
func (s *session) report(phase string, running *sync.WaitGroup) {
	progress := s.env.Progress(phase, s.plan.Bytes)
	defer progress.Done()
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	const every = 50 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var shown int64
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			var sum int64
			for _, w := range s.workers {
				sum += w.done.Load()
			}
			if sum != shown { // a hold, or a page-out's further passes, have nothing to tell
				progress.Add(sum - shown)
				shown = sum
			}
		}
	}
}
