// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"memline/internal/anon"
	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/pages"
	"memline/internal/record"
)

// fillResult is the fill.
type fillResult struct {
	Phase string `json:"phase" doc:"fill" enum:"fill"`
	measured
	SamplePages     int64    `json:"sample_pages" doc:"filled pages that were compressed afterwards, spread over the memory"`
	SampleLz4Ratio  *float64 `json:"sample_lz4_ratio" doc:"their bytes over what lz4 makes of them page by page; null where there are none"`
	SampleZstdRatio *float64 `json:"sample_zstd_ratio" doc:"the same of zstd"`
}

// holdResult is the hold.
type holdResult struct {
	Phase string `json:"phase" doc:"hold" enum:"hold"`
	measured
}

// verifyResult is a verification that found nothing wrong.
type verifyResult struct {
	Phase string `json:"phase" doc:"verify" enum:"verify"`
	measured
	VerifiedPages int64 `json:"verified_pages" doc:"content pages (4 KiB) compared, every byte"`
}

// mismatch is a byte that is not what was written.
type mismatch struct {
	Page     int64 `json:"page" doc:"content page (4 KiB), from 0"`
	Offset   int   `json:"offset" doc:"byte in the page, from 0"`
	Expected byte  `json:"expected" doc:"what was written"`
	Found    byte  `json:"found" doc:"what is there"`
}

// fillPart makes each chunk resident and copies its content while the chunk is still in the CPU's cache.
//
// Behind a fence each page is written to instead of populated: populated pages count as active, and the kernel (6.18,
// cgroup v1) then finds nothing to reclaim and kills the process at its limit, where it swaps pages that writes brought.
func (s *session) fillPart(ctx context.Context, w *worker) error {
	fenced := s.plan.MemoryLimitBytes != nil
	return w.chunks(ctx, func(chunk []byte, first int64) error {
		s.brake.Grow(int64(len(chunk)))
		if fenced {
			anon.FaultIn(chunk)
		} else if err := anon.Populate(chunk); err != nil {
			return err
		}
		s.plan.content.FillFresh(chunk, first)
		return nil
	})
}

// fill fills all of the memory, then says what a sample of it compresses to.
func (s *session) fill(ctx context.Context) error {
	s.brake.Growing(true)
	m, err := s.measure(ctx, phaseFill, s.fillPart)
	s.brake.Growing(false)
	if err != nil {
		return err
	}
	s.judge(&m, 0, 0)
	r := fillResult{Phase: phaseFill, measured: m}
	sample := s.sample()
	r.SamplePages = int64(len(sample) / pages.PageSize)
	if r.SamplePages > 0 {
		if r.SampleLz4Ratio, err = ratio("lz4", sample); err != nil {
			return err
		}
		if r.SampleZstdRatio, err = ratio("zstd", sample); err != nil {
			return err
		}
	}
	s.env.Emit("result", r)
	return nil
}

// sample copies pages at even distances.
func (s *session) sample() []byte {
	total := s.plan.Bytes / pages.PageSize
	n := min(samplePages, total)
	sample := make([]byte, 0, n*pages.PageSize)
	for i := range n {
		at := i * total / n * pages.PageSize
		sample = append(sample, s.mem[at:at+pages.PageSize]...)
	}
	return sample
}

func ratio(codecName string, content []byte) (*float64, error) {
	stored, err := storedBytes(codecName, content)
	if err != nil {
		return nil, err
	}
	return record.Finite(float64(len(content)) / float64(stored)), nil
}

// hold keeps the memory as it is.
func (s *session) hold(ctx context.Context) error {
	before := s.plan.Phases[slices.Index(s.plan.Phases, phaseHold)-1]
	s.env.Emit("ready", ready{before, "hold"})
	m, err := s.measure(ctx, phaseHold, func(ctx context.Context, w *worker) error {
		if w.index != 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(s.options.Hold.Duration):
			return nil
		}
	})
	if err != nil {
		return err
	}
	s.judge(&m, 0, 0)
	s.env.Emit("result", holdResult{phaseHold, m})
	return nil
}

// verify compares every byte of every page.
func (s *session) verify(ctx context.Context) error {
	absent, err := s.absent()
	if err != nil {
		return err
	}
	wrong := make([]*mismatch, len(s.workers))
	m, err := s.measure(ctx, phaseVerify, func(ctx context.Context, w *worker) error {
		return w.chunks(ctx, func(chunk []byte, first int64) error {
			page, offset, ok := s.plan.content.Verify(chunk, first)
			if ok {
				return nil
			}
			found := chunk[(page-first)*pages.PageSize+int64(offset)]
			wrong[w.index] = s.explain(page, offset, found)
			return exit.New(exit.Failure, "wrong_byte", "page %d is wrong", page)
		})
	})
	for _, w := range wrong {
		if w != nil {
			s.env.Emit("mismatch", *w)
			return exit.New(exit.Failure, "wrong_byte",
				"page %d, byte %d is %#02x and should be %#02x: swap or memory lost data; check dmesg, and do not trust this device",
				w.Page, w.Offset, w.Found, w.Expected)
		}
	}
	if err != nil {
		return err
	}
	s.judge(&m, 0, absent)
	s.env.Emit("result", verifyResult{phaseVerify, m, m.Bytes / pages.PageSize})
	return nil
}

func (s *session) explain(page int64, offset int, found byte) *mismatch {
	want := make([]byte, pages.PageSize)
	s.plan.content.Fill(want, page)
	return &mismatch{Page: page, Offset: offset, Expected: want[offset], Found: found}
}

// absent counts the pages that are not in memory.
func (s *session) absent() (int64, error) {
	var resident int64
	seen := make([]byte, anon.Chunk/kernel.PageSize())
	for at := 0; at < len(s.mem); at += anon.Chunk {
		n, err := anon.Resident(s.mem[at:min(at+anon.Chunk, len(s.mem))], seen)
		if err != nil {
			return 0, err
		}
		resident += n
	}
	return s.plan.Pages - resident, nil
}

// quickness is the sentinel's time now, in nanoseconds.
func (s *session) quickness() (ns int64) {
	anon.Still(func() { ns = s.sentinel.Time() })
	return ns
}

// measure runs a phase on all workers between two readings of the system's counters and two sentinels.
func (s *session) measure(ctx context.Context, phase string, f func(context.Context, *worker) error) (m measured, err error) {
	runtime.GC() // so that none is due while the phase runs: nothing in it allocates
	m.SentinelBefore = s.quickness()
	before := readCounters(s.root)
	cost, err := s.parallel(ctx, phase, f)
	m.since(before, readCounters(s.root))
	m.SentinelAfter = s.quickness()
	m.Bytes, m.Pages = s.plan.Bytes, s.plan.Pages
	m.WallNs, m.threadUse = cost.wall.Nanoseconds(), cost.use
	if cost.done > 0 {
		m.BytesPerSecond = record.Finite(float64(cost.done) / cost.wall.Seconds())
	}
	if err != nil && ctx.Err() != nil {
		if phase == phaseHold { // it goes over nothing, and has everything
			cost.done = s.plan.Bytes
		}
		s.env.Emit("progress", record.Progress{Phase: phase, DoneBytes: cost.done, TotalBytes: s.plan.Bytes})
		err = fmt.Errorf("%w in %s, with %d of %d MiB", err, phase, cost.done>>20, s.plan.Bytes>>20)
	}
	return m, err
}

// judge holds the system's swap traffic against what this phase must have caused. Behind a fence the kernel swaps as it
// likes, so nothing can be told.
func (s *session) judge(m *measured, out, in int64) {
	gotOut, gotIn, known := m.traffic()
	if !known || s.plan.MemoryLimitBytes != nil {
		return
	}
	wrong := gotOut != out || gotIn != in
	m.Contaminated = &wrong
	if wrong {
		s.env.Warn("contaminated", "the system swapped %d pages out and %d in, this phase accounts for %d and %d; end what else swaps, look for failed_writes in zramctl status, and measure again",
			gotOut, gotIn, out, in)
	}
}
