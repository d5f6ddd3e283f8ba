// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// candidate is one compressor's numbers over the rounds of a run, each as the median over the rounds.
type candidate struct {
	name       string
	rounds     int     // in which it has any record
	complete   []round // with all that a score needs
	incomplete []round // the others
	flags      map[round]string
	logScores  map[round]float64
	// logQuickness is minus the logarithm of the median read-back, so that more is better.
	logQuickness map[round]float64

	poolRatio, codecRatio    estimate // original / stored
	saved                    estimate // bytes a page
	out, in                  estimate // CPU nanoseconds a page
	p50, p99                 estimate // nanoseconds of a read-back
	p50Excess, p99Excess     estimate // above the floor of the same round
	score, quarter, fourfold estimate // bytes saved a CPU second at --readback-factor, 0.25 and 4
	vetoes                   []string

	judgement
}

// The readback factors that every score is also shown at.
const (
	fewReadbacks  = 0.25
	manyReadbacks = 4
)

// numbers are what a candidate did in one round, a page; NaN is not known.
type numbers struct {
	poolRatio, codecRatio, saved, out, in, p50, p99, p50Excess, p99Excess float64
}

// score is the bytes saved for a second of CPU when each page swapped out is read back factor times.
func (n numbers) score(factor float64) float64 {
	return n.saved / n.cost(factor) * 1e9
}

func (n numbers) cost(factor float64) float64 { return n.out + factor*n.in }

// numbers reduces a cell, with the floor of its round where there was one.
func (c *cell) numbers(floor *cell, pageSize float64) numbers {
	unknown := math.NaN()
	n := numbers{unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown}
	if p := c.codec; p != nil {
		n.codecRatio, n.saved = p.orig/p.compr, (p.orig-p.compr)/p.pages
		n.out, n.in = p.outNs/p.pages, p.inNs/p.pages
	}
	if d := c.device; d != nil {
		n.poolRatio, n.codecRatio = d.orig/d.pool, d.orig/d.compr
		n.saved = (d.orig - d.pool) / (d.orig / pageSize)
	}
	if c.out != nil {
		n.out = c.out.cpuNs / c.out.pages
	}
	if c.in != nil {
		n.in, n.p50, n.p99 = c.in.cpuNs/c.in.pages, c.in.p50Ns, c.in.p99Ns
		if floor != nil && floor.in != nil {
			n.p50Excess, n.p99Excess = n.p50-floor.in.p50Ns, n.p99-floor.in.p99Ns
		}
	}
	return n
}

// measure reduces one pattern's records to candidates, in order of appearance. A candidate that has only faults, such as
// one that never got beyond the warm-up, is among them.
func (b *benchmark) measure(f *field, factor float64, maxP99 time.Duration) []*candidate {
	slow := slowSentinel(slices.Concat(b.zram, b.userSpace))
	floor := b.floorOf(f)
	candidates := make([]*candidate, 0, len(f.entries))
	for _, e := range f.entries {
		if len(e.rounds) > 0 || len(e.faults) > 0 {
			candidates = append(candidates, b.reduce(e, floor, factor, slow))
		}
	}
	for _, c := range candidates {
		c.vetoes = append(c.vetoes, c.savesNothing()...)
		if maxP99 > 0 && c.p99.Median > float64(maxP99) {
			c.vetoes = append(c.vetoes, fmt.Sprintf("one read-back in a hundred takes %s or longer, more than --max-p99 %s",
				duration(c.p99.Median), maxP99))
		}
	}
	return candidates
}

// floorOf finds the floor beside a pattern's candidates: labelled with their pattern, or with one of its own.
func (b *benchmark) floorOf(f *field) *entry {
	if f.floor != nil {
		return f.floor
	}
	for _, other := range b.zram {
		if len(other.entries) == 0 {
			return other.floor
		}
	}
	return nil
}

func (b *benchmark) reduce(e, floor *entry, factor, slow float64) *candidate {
	c := &candidate{name: e.name, rounds: len(e.rounds), flags: map[round]string{}, logScores: map[round]float64{}, logQuickness: map[round]float64{}, vetoes: slices.Clone(e.faults)}
	all := make([]numbers, 0, len(e.rounds))
	for _, at := range e.sortedRounds() {
		did := e.rounds[at]
		var beside *cell
		if floor != nil {
			beside = floor.rounds[at]
		}
		n := did.numbers(beside, b.pageSize)
		all = append(all, n)
		if cost := n.cost(factor); cost > 0 && finite(cost) && finite(n.saved) {
			// A page that saves nothing counts as one byte, so that the logarithm exists; such candidates rank last.
			c.logScores[at] = math.Log(max(n.saved, 1) / cost)
			c.complete = append(c.complete, at)
		} else {
			c.incomplete = append(c.incomplete, at)
		}
		if n.p50 > 0 && finite(n.p50) {
			c.logQuickness[at] = -math.Log(n.p50)
		}
		if flag := did.flag(slow); flag != "" {
			c.flags[at] = flag
		}
	}
	over := func(pick func(numbers) float64) estimate {
		var values []float64
		for _, n := range all {
			if v := pick(n); finite(v) {
				values = append(values, v)
			}
		}
		return medianOf(values)
	}
	c.poolRatio = over(func(n numbers) float64 { return n.poolRatio })
	c.codecRatio = over(func(n numbers) float64 { return n.codecRatio })
	c.saved = over(func(n numbers) float64 { return n.saved })
	c.out = over(func(n numbers) float64 { return n.out })
	c.in = over(func(n numbers) float64 { return n.in })
	c.p50 = over(func(n numbers) float64 { return n.p50 })
	c.p99 = over(func(n numbers) float64 { return n.p99 })
	c.p50Excess = over(func(n numbers) float64 { return n.p50Excess })
	c.p99Excess = over(func(n numbers) float64 { return n.p99Excess })
	c.score = over(func(n numbers) float64 { return n.score(factor) })
	c.quarter = over(func(n numbers) float64 { return n.score(fewReadbacks) })
	c.fourfold = over(func(n numbers) float64 { return n.score(manyReadbacks) })
	return c
}

func finite(v float64) bool { return v-v == 0 }

// savesNothing vetoes a candidate whose memory ratio cannot be told from 1.
func (c *candidate) savesNothing() []string {
	name, ratio := "pool ratio", c.poolRatio
	if ratio.N == 0 {
		name, ratio = "codec ratio", c.codecRatio
	}
	switch {
	case ratio.Low <= 1:
		return []string{fmt.Sprintf("it saves nothing: the %s is %.2f to %.2f", name, ratio.Low, ratio.High)}
	case ratio.N > 0 && math.IsNaN(ratio.Low) && ratio.Median <= 1:
		return []string{fmt.Sprintf("it saves nothing: the %s is %.2f", name, ratio.Median)}
	}
	return nil
}

// slowFactor is how much slower than usual the sentinel must be to flag a phase.
const slowFactor = 1.5

// slowSentinel returns the time beyond which a sentinel flags its phase, from the median of the run; NaN without any.
func slowSentinel(fields []*field) float64 {
	var all []float64
	for _, f := range fields {
		for _, e := range append(slices.Clone(f.entries), f.floor) {
			if e == nil {
				continue
			}
			for _, c := range e.rounds {
				all = append(all, c.sentinels()...)
			}
		}
	}
	return slowFactor * medianOf(all).Median
}

func (c *cell) sentinels() (all []float64) {
	for _, p := range []*phase{c.out, c.in} {
		if p != nil {
			all = append(all, p.sentinels...)
		}
	}
	if c.codec != nil {
		all = append(all, c.codec.sentinels...)
	}
	return all
}

// flag says why a cell's numbers are doubtful, empty when they are not.
func (c *cell) flag(slow float64) string {
	for _, p := range []*phase{c.out, c.in} {
		if p != nil && p.flag != "" {
			return p.flag
		}
	}
	for _, s := range c.sentinels() {
		if s > slow {
			return "slow host"
		}
	}
	return ""
}
