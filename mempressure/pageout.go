// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"

	"memline/internal/anon"
	"memline/internal/kernel"
	"memline/internal/record"
)

// pageoutResult is the swapping out of every page.
type pageoutResult struct {
	Phase string `json:"phase" doc:"pageout" enum:"pageout"`
	measured
	ResidentPages int64    `json:"resident_pages" doc:"pages still in memory afterwards (mincore)"`
	Passes        int      `json:"passes" doc:"times the kernel was asked; more than 1 where pages were busy"`
	ChunkP50Ns    *float64 `json:"chunk_p50_ns" doc:"median time to page a chunk of 2 MiB out, in the first pass"`
	ChunkMaxNs    *float64 `json:"chunk_max_ns" doc:"the slowest chunk"`
}

// maxPasses bounds the retries for pages that stay: they are busy for a moment, or the kernel refuses them for good.
const maxPasses = 5

// pageout has the kernel reclaim every page, and asks again for the chunks of which something stayed.
func (s *session) pageout(ctx context.Context) error {
	absent, err := s.absent()
	if err != nil {
		return err
	}
	all, passes := make([]*times, len(s.workers)), make([]int, len(s.workers))
	for i, w := range s.workers {
		all[i] = newTimes(len(w.mem)/anon.Chunk + 1)
	}
	m, err := s.measure(ctx, phasePageout, func(ctx context.Context, w *worker) (err error) {
		passes[w.index], err = w.pageout(ctx, all[w.index])
		return err
	})
	if err != nil {
		return err
	}
	left, err := s.absent()
	if err != nil {
		return err
	}
	s.judge(&m, left-absent, 0)
	sample, total := collect(all)
	s.env.Emit("result", pageoutResult{
		Phase: phasePageout, measured: m, ResidentPages: s.plan.Pages - left, Passes: slices.Max(passes),
		ChunkP50Ns: record.Finite(sample.Quantile(0.5)), ChunkMaxNs: record.Finite(sample.Quantile(1)),
	})
	if left < s.plan.Pages {
		s.env.Warn("resident", "%d of %d pages stayed in memory after %d passes; something else uses them, or swap is full",
			s.plan.Pages-left, s.plan.Pages, slices.Max(passes))
	}
	s.distribution(phasePageout, "chunk_ns", total)
	return nil
}

func (w *worker) pageout(ctx context.Context, t *times) (passes int, err error) {
	err = w.chunks(ctx, func(chunk []byte, _ int64) error {
		begun := time.Now()
		err := anon.Pageout(chunk)
		t.add(time.Since(begun).Nanoseconds())
		return err
	})
	seen := make([]byte, anon.Chunk/kernel.PageSize())
	for passes = 1; err == nil && passes < maxPasses; passes++ {
		stayed := false
		err = w.chunks(ctx, func(chunk []byte, _ int64) error {
			w.done.Add(-int64(len(chunk))) // counted by the first pass
			n, err := anon.Resident(chunk, seen)
			if err != nil || n == 0 {
				return err
			}
			stayed = true
			return anon.Pageout(chunk)
		})
		if !stayed {
			break
		}
	}
	return passes, err
}
