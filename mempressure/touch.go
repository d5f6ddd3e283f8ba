// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"

	"memline/internal/anon"
	"memline/internal/hist"
	"memline/internal/kernel"
	"memline/internal/record"
)

// touchResult is one timed read of every page.
type touchResult struct {
	Phase string `json:"phase" doc:"touch for pages in memory, readback for pages in swap" enum:"touch,readback"`
	measured
	Order          string   `json:"order" doc:"order of the reads within each worker's part" enum:"sequential,random"`
	P50Ns          *float64 `json:"p50_ns" doc:"median time of a read, the clock's own cost included"`
	P90Ns          *float64 `json:"p90_ns" doc:"90th percentile"`
	P99Ns          *float64 `json:"p99_ns" doc:"99th percentile"`
	P999Ns         *float64 `json:"p99_9_ns" doc:"99.9th percentile"`
	MaxNs          *float64 `json:"max_ns" doc:"slowest read"`
	MeanNs         *float64 `json:"mean_ns" doc:"mean"`
	QuantileMethod string   `json:"quantile_method" doc:"exact: nearest rank on all values; exp5: on the histogram, within 1.1 %" enum:"exact,exp5"`
	ClockFloorNs   int64    `json:"clock_floor_ns" doc:"what a read that takes no time would have measured"`
}

// histogram is the distribution of one of a phase's times.
type histogram struct {
	Phase  string `json:"phase" doc:"the phase"`
	Metric string `json:"metric" doc:"what was timed: access_ns, one read of one page; chunk_ns, the page-out of 2 MiB" enum:"access_ns,chunk_ns"`
	hist.Wire
}

// times collects a worker's times without allocating while it runs.
type times struct {
	all   *hist.Histogram
	exact []float64 // every value while they are few, else empty
}

func newTimes(values int) *times {
	t := &times{all: hist.New()}
	if values <= hist.ExactLimit {
		t.exact = make([]float64, 0, values)
	}
	return t
}

func (t *times) add(ns int64) {
	t.all.Record(ns)
	if len(t.exact) < cap(t.exact) {
		t.exact = append(t.exact, float64(ns))
	}
}

// collect merges the workers' times, exact as long as all of them together are few.
func collect(workers []*times) (*hist.Sample, *hist.Histogram) {
	sample, all := new(hist.Sample), hist.New()
	for _, t := range workers {
		all.Merge(t.all)
		one := new(hist.Sample)
		if int64(len(t.exact)) == t.all.Count() {
			for _, v := range t.exact {
				one.Add(v)
			}
		} else {
			one.MergeHistogram(t.all)
		}
		sample.Merge(one)
	}
	return sample, all
}

// touch reads one byte of every page once. It serves both the pages in memory and those in swap.
func (s *session) touch(ctx context.Context, phase, order string) error {
	absent, err := s.absent()
	if err != nil {
		return err
	}
	var all []*times
	var orders [][]uint32
	for _, w := range s.workers {
		n := len(w.mem) / kernel.PageSize()
		all = append(all, newTimes(n))
		orders = append(orders, newOrder(order, n, s.options.Seed+uint64(w.index)))
	}
	floor := anon.ClockFloor()
	m, err := s.measure(ctx, phase, func(ctx context.Context, w *worker) error {
		return w.read(ctx, orders[w.index], all[w.index])
	})
	if err != nil {
		return err
	}
	s.judge(&m, 0, absent)
	if phase == phaseReadback && s.plan.MemoryLimitBytes == nil && absent < s.plan.Pages {
		m.Contaminated = record.Known(true)
		s.env.Warn("not_swapped", "%d of %d pages were in memory before they were read back, so these are not times of swap; was the swap area taken away?",
			s.plan.Pages-absent, s.plan.Pages)
	}
	sample, total := collect(all)
	quantile := func(q float64) *float64 { return record.Finite(sample.Quantile(q)) }
	s.env.Emit("result", touchResult{
		Phase: phase, measured: m, Order: order,
		P50Ns: quantile(0.5), P90Ns: quantile(0.9), P99Ns: quantile(0.99), P999Ns: quantile(0.999), MaxNs: quantile(1),
		MeanNs: record.Finite(sample.Sum() / float64(sample.Count())), QuantileMethod: sample.Method(), ClockFloorNs: floor,
	})
	s.distribution(phase, "access_ns", total)
	return nil
}

// read times one access to each page, in batches that can be stopped in between.
func (w *worker) read(ctx context.Context, order []uint32, t *times) error {
	ns := make([]int64, anon.Batch)
	for len(order) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		batch := order[:min(anon.Batch, len(order))]
		order = order[len(batch):]
		anon.Touch(w.mem, batch, ns)
		for _, v := range ns[:len(batch)] {
			t.add(v)
		}
		w.done.Add(int64(len(batch) * kernel.PageSize()))
	}
	return nil
}

// newOrder lists the numbers below n, in order or as a random permutation that the seed determines.
func newOrder(order string, n int, seed uint64) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(i)
	}
	if order == "random" {
		rand.New(rand.NewPCG(seed, uint64(n))).Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list
}

// distribution writes a histogram in as many records as it needs.
func (s *session) distribution(phase, metric string, h *hist.Histogram) {
	for _, part := range h.Parts(hist.PartBuckets) {
		s.env.Emit("histogram", histogram{phase, metric, part})
	}
}
