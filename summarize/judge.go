// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// judgement is what a candidate came to.
type judgement struct {
	verdict   string // rank, tie, vetoed, inconclusive
	rank      int    // from 1; 0 for none
	why       string
	toDefault comparison // relation empty when it was not compared
	toBest    comparison // of those that beat the default, with the best of them
	readback  comparison // of its read-backs with the default's; relation empty when they were not compared
}

// The verdicts on a candidate.
const (
	ranked       = "rank"
	tied         = "tie"
	vetoed       = "vetoed"
	inconclusive = "inconclusive"
)

// outcome is the verdict on one pattern's candidates.
type outcome struct {
	verdict     string // winner, tie, inconclusive
	reason      string // stable code of an inconclusive one
	why         string // of an inconclusive one
	reference   *candidate
	best        *candidate   // the winner, or the first of those that tie
	tied        []*candidate // with their first; empty when one wins
	recommended *candidate
	flipFactor  float64 // NaN when the order of the two best holds at any factor
	compared    int
	needed      int // rounds that would settle an inconclusive one; 0 where it settled or none would
}

const winner = "winner"

// decide judges the candidates and puts them in order: ranked, unresolved, vetoed, each by median score. Reference is the
// one to compare with.
func (j judge) decide(candidates []*candidate, reference *candidate) outcome {
	o := outcome{reference: reference, flipFactor: math.NaN()}
	j.compareReadbacks(candidates, reference)
	var fit []*candidate
	for _, c := range candidates {
		if len(c.vetoes) > 0 {
			c.verdict, c.why = vetoed, c.vetoes[0]
		} else {
			fit = append(fit, c)
		}
	}
	slices.SortStableFunc(fit, byScore)
	switch {
	case len(fit) == 0:
		o.fail("all_vetoed", "every candidate is vetoed")
	case len(candidates) == 1:
		o.fail("one_candidate", "there is only one candidate and nothing to compare it with")
	case len(fit) == 1 && len(fit[0].complete) < pairsNeeded(1):
		o.fail("too_few_rounds", tooFew(len(fit[0].complete), 1))
	case len(fit) == 1:
		o.crown(fit, fit)
		fit[0].why = "the only one that is not vetoed"
	case slices.Contains(fit, reference):
		j.againstReference(&o, fit)
	default:
		j.amongThemselves(&o, fit)
	}
	if o.verdict == inconclusive {
		for _, c := range fit {
			c.verdict, c.rank = inconclusive, 0
			c.why = cmp.Or(c.why, o.why)
		}
	}
	arrange(candidates)
	if len(fit) > 1 { // so that neither of the first two is vetoed
		o.flipFactor = flipFactor(candidates[0], candidates[1])
	}
	return o
}

// compareReadbacks compares everyone's read-backs with the default's. It decides nothing but which of equals to prefer,
// and is often certain where the scores are not: the CPU time of a page-out is the noisier part.
func (j judge) compareReadbacks(candidates []*candidate, reference *candidate) {
	var timed []*candidate
	for _, c := range candidates {
		if c != reference && len(c.logQuickness) > 0 {
			timed = append(timed, c)
		}
	}
	for i, result := range j.ofReadbacks().family(timed, reference) {
		timed[i].readback = result
	}
}

func (o *outcome) fail(reason, why string) {
	o.verdict, o.reason, o.why = inconclusive, reason, why
}

// byScore sorts by median score, the highest first and unknown ones last.
func byScore(a, b *candidate) int {
	return cmp.Or(cmp.Compare(boolInt(math.IsNaN(a.score.Median)), boolInt(math.IsNaN(b.score.Median))),
		cmp.Compare(b.score.Median, a.score.Median))
}

// arrange sorts candidates for the reader.
func arrange(candidates []*candidate) {
	class := func(c *candidate) int {
		switch {
		case c.verdict == vetoed:
			return 3
		case c.verdict == inconclusive:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(candidates, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(a.rank, b.rank), byScore(a, b))
	})
}

// againstReference compares everyone with the default. Those that beat it compete for the first place; where nobody does
// the default has it, alone or with those alike.
func (j judge) againstReference(o *outcome, fit []*candidate) {
	others := without(fit, o.reference)
	var beaters, equals []*candidate
	var hopeful *candidate // who may yet beat the default, and takes the most rounds to tell
	results := j.family(others, o.reference)
	o.compared = countCompared(results)
	for i, c := range others {
		c.toDefault = results[i]
		switch r := results[i]; {
		case r.relation == better:
			beaters = append(beaters, c)
		case r.relation == alike:
			equals = append(equals, c)
		case r.relation == unresolved:
			c.verdict, c.why = inconclusive, r.why
			if needed := j.roundsFor(r, o.compared); needed > o.needed && !(r.effect.High < j.threshold) {
				hopeful, o.needed = c, needed
			}
		}
	}
	o.reference.toDefault.relation = isDefault
	switch {
	case len(beaters) > 0:
		best, equals := j.best(beaters)
		o.crown(fit, append([]*candidate{best}, equals...))
	case hopeful != nil:
		o.fail(hopeful.toDefault.reason(o.compared), fmt.Sprintf("%s against %s: %s", hopeful.name, o.reference.name, hopeful.why))
	default:
		o.crown(fit, append([]*candidate{o.reference}, equals...))
	}
}

// amongThemselves ranks where no default can be compared with: the best against all others.
func (j judge) amongThemselves(o *outcome, fit []*candidate) {
	o.compared = len(fit) - 1
	complete := len(fit[0].complete)
	for _, c := range fit {
		complete = min(complete, len(c.complete))
	}
	if complete < pairsNeeded(o.compared) {
		o.fail("too_few_rounds", tooFew(complete, o.compared))
		return
	}
	best, equals := j.best(fit)
	o.crown(fit, append([]*candidate{best}, equals...))
}

// best finds the best of those in the running and the ones that cannot be separated from it.
func (j judge) best(running []*candidate) (best *candidate, equals []*candidate) {
	slices.SortStableFunc(running, byScore)
	best = running[0]
	for range running { // the paired test may prefer another one to the one with the best median
		others := without(running, best)
		results := j.family(others, best)
		next := slices.IndexFunc(results, func(r comparison) bool { return r.relation == better })
		if next >= 0 {
			best = others[next]
			continue
		}
		for i, c := range others {
			c.toBest = results[i]
			switch r := results[i]; {
			case r.relation == alike, r.relation == unresolved && !r.hinges:
				equals = append(equals, c)
			case r.relation == unresolved:
				c.verdict, c.why = inconclusive, fmt.Sprintf("against %s: %s", best.name, r.why)
			}
		}
		return best, equals
	}
	return best, without(running, best) // they beat each other in a circle
}

func without(all []*candidate, one *candidate) []*candidate {
	return slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return c == one })
}

// crown gives the first place to these candidates, the first of which is the best, and the next places to whoever has no
// verdict yet, by median score.
func (o *outcome) crown(fit, first []*candidate) {
	o.best, o.verdict, o.recommended = first[0], winner, first[0]
	first[0].verdict, first[0].rank = ranked, 1
	if len(first) > 1 {
		o.verdict = tied
		slices.SortStableFunc(first, byScore)
		o.tied = first
		o.recommended = o.preferred(first)
		for _, c := range first {
			c.verdict, c.rank = tied, 1
		}
	}
	place := len(first)
	for _, c := range fit {
		if c.verdict == "" {
			place++
			c.verdict, c.rank = ranked, place
		}
	}
}

// preferred picks among equals: the one whose read-backs are surely faster than the default's, by enough to matter; else
// the default, since a change must be worth it; without the default among them the one whose slow read-backs are the
// fastest, else the one with the best median.
func (o *outcome) preferred(equals []*candidate) *candidate {
	if slices.Contains(equals, o.reference) {
		pick := o.reference
		for _, c := range equals {
			if c.readback.relation == better && c.readback.effect.Median > pick.readback.effect.Median {
				pick = c
			}
		}
		return pick
	}
	return slices.MinFunc(equals, func(a, b *candidate) int {
		if math.IsNaN(a.p99.Median) || math.IsNaN(b.p99.Median) {
			return cmp.Compare(boolInt(math.IsNaN(a.p99.Median)), boolInt(math.IsNaN(b.p99.Median)))
		}
		return cmp.Compare(a.p99.Median, b.p99.Median)
	})
}

// flipFactor returns the number of read-backs a page at which two candidates have the same score, from their medians; NaN
// when one leads at any.
func flipFactor(a, b *candidate) float64 {
	factor := (b.saved.Median*a.out.Median - a.saved.Median*b.out.Median) /
		(a.saved.Median*b.in.Median - b.saved.Median*a.in.Median)
	if factor > 0 && finite(factor) {
		return factor
	}
	return math.NaN()
}
