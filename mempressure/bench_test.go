// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"memline/internal/anon"
	"memline/internal/cli"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/kernel/kerneltest"
	"memline/internal/pages"
	"memline/internal/record"
)

// BenchmarkFill holds the fill against its floor, measured in turns in the same run: populate all of the memory, then
// memmove as many bytes from the same template pool, with the same huge-page mode and workers. Relative is floor time over
// fill time, larger is better: the median of the rounds, with the least and the greatest beside it.
func BenchmarkFill(b *testing.B) {
	for _, pattern := range []string{"random", "text"} {
		for _, thp := range []anon.THP{anon.Never, anon.Always} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("pattern=%s/thp=%s/workers=%d", pattern, thp, workers), func(b *testing.B) {
					benchmarkFill(b, pattern, thp, workers)
				})
			}
		}
	}
}

const (
	benchBytes  = 512 << 20
	benchRounds = 9
)

func benchmarkFill(b *testing.B, pattern string, thp anon.THP, workers int) {
	kerneltest.HostLock(b)
	s := benchSession(b, pattern, workers)
	defer s.brake.Close()
	var relative []float64
	var fastest time.Duration
	for b.Loop() {
		for round := range benchRounds + 1 {
			fill, floor := s.fillPart, s.floorPart
			var took [2]time.Duration
			for _, i := range [][2]int{{0, 1}, {1, 0}}[round%2] { // the order turns, so that drift hits both
				took[i] = s.timeOnce(b, thp, workers, [2]func(context.Context, *worker) error{fill, floor}[i])
			}
			if round == 0 { // warm-up
				continue
			}
			relative = append(relative, took[1].Seconds()/took[0].Seconds())
			if fastest == 0 || took[0] < fastest {
				fastest = took[0]
			}
		}
	}
	slices.Sort(relative)
	b.ReportMetric(relative[len(relative)/2], "relative")
	b.ReportMetric(relative[0], "relative-min")
	b.ReportMetric(relative[len(relative)-1], "relative-max")
	b.ReportMetric(benchBytes/fastest.Seconds()/1e9, "GB/s-best")
	b.ReportMetric(0, "ns/op")
}

func benchSession(b *testing.B, pattern string, workers int) *session {
	b.Helper()
	stream, err := record.NewStream(io.Discard, record.Options{Tool: "mempressure"})
	if err != nil {
		b.Fatal(err)
	}
	p, err := pages.Parse(pattern)
	if err != nil {
		b.Fatal(err)
	}
	s := &session{env: &cli.Env{Stream: stream}, root: kernel.Root(), options: &options{Workers: workers}}
	s.plan = plan{Bytes: benchBytes, Pages: benchBytes / int64(kernel.PageSize()), content: pages.New(p, 1)}
	if s.brake, err = guard.NewBrake(s.root, guard.Limits{PlannedBytes: 1 << 50}, func(err error) { b.Log(err) }); err != nil {
		b.Fatal(err)
	}
	return s
}

// timeOnce runs f on fresh memory.
func (s *session) timeOnce(b *testing.B, thp anon.THP, workers int, f func(context.Context, *worker) error) time.Duration {
	b.Helper()
	region, err := anon.Map(benchBytes, thp)
	if err != nil {
		b.Fatal(err)
	}
	s.mem = region.Bytes()
	s.workers = share(s.mem, workers)
	cost, err := s.parallel(b.Context(), phaseFill, f)
	if err != nil {
		b.Fatal(err)
	}
	if err := region.Unmap(); err != nil {
		b.Fatal(err)
	}
	return cost.wall
}

// floorPart is the floor: nothing but what the kernel and memmove need.
func (s *session) floorPart(_ context.Context, w *worker) error {
	if err := anon.Populate(w.mem); err != nil {
		return err
	}
	pool := s.plan.content.Templates()
	for at, from := 0, 0; at < len(w.mem); at += pages.PageSize {
		copy(w.mem[at:at+pages.PageSize], pool[from:from+pages.PageSize])
		if from += pages.PageSize; from == len(pool) {
			from = 0
		}
	}
	return nil
}
