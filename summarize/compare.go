// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
)

// relation is what a comparison of two candidates came to, from the first one's side.
type relation string

const (
	isDefault  relation = "default" // it is what the others are compared with
	better     relation = "better"
	worse      relation = "worse"
	alike      relation = "tie"
	unresolved relation = "inconclusive"
)

// comparison is the paired test of one candidate's scores against another's, over the rounds that both completed.
type comparison struct {
	relation relation
	pairs    int
	flagged  int
	p, pHolm float64
	// effect is the log ratio of the scores: Hodges-Lehmann estimate and 95 % interval.
	effect estimate
	why    string // of an unresolved one
	hinges bool   // on flagged rounds: without them the verdict would be another
}

// judge holds what the comparisons of one pattern share.
type judge struct {
	threshold float64 // log ratio of the smallest effect that matters
	merit     merit
}

// merit is what candidates are compared by: a logarithm a round, the higher the better.
type merit func(*candidate) map[round]float64

func byLogScore(c *candidate) map[round]float64 { return c.logScores }
func byReadback(c *candidate) map[round]float64 { return c.logQuickness }

func newJudge(minEffect float64) judge { return judge{math.Log1p(minEffect), byLogScore} }

// ofReadbacks is the same judge, comparing by the median time of a read-back.
func (j judge) ofReadbacks() judge { return judge{j.threshold, byReadback} }

// family compares each candidate with the same other one and corrects for their number. A verdict that hangs on flagged
// rounds is taken back.
func (j judge) family(candidates []*candidate, other *candidate) []comparison {
	out := j.compareAll(candidates, other, nil)
	flagged := func(c *candidate, at round) bool { return c.flags[at] != "" || other.flags[at] != "" }
	clean := j.compareAll(candidates, other, flagged)
	compared := countCompared(out)
	for i := range out {
		out[i].flagged = out[i].pairs - clean[i].pairs
		if out[i].flagged > 0 && out[i].relation != unresolved && !j.stands(out[i], clean[i], compared) {
			out[i].why = fmt.Sprintf("the verdict depends on flagged rounds (%d of %d)", out[i].flagged, out[i].pairs)
			out[i].relation, out[i].hinges = unresolved, true
		}
	}
	return out
}

func countCompared(all []comparison) (n int) {
	for _, c := range all {
		if c.pairs > 0 {
			n++
		}
	}
	return n
}

// compareAll runs the tests over all rounds but those left out.
func (j judge) compareAll(candidates []*candidate, other *candidate, leftOut func(*candidate, round) bool) []comparison {
	out := make([]comparison, len(candidates))
	var p []float64
	for i, c := range candidates {
		var differences []float64
		own, others := j.merit(c), j.merit(other)
		for _, at := range c.complete {
			value, measured := own[at]
			against, ok := others[at]
			if measured && ok && (leftOut == nil || !leftOut(c, at)) {
				differences = append(differences, value-against)
			}
		}
		out[i] = comparison{pairs: len(differences), p: signedRankP(differences), effect: shiftOf(differences)}
		if out[i].pairs > 0 {
			p = append(p, out[i].p)
		}
	}
	corrected := holm(p)
	for i := range out {
		out[i].pHolm = 1
		if out[i].pairs > 0 {
			out[i].pHolm, corrected = corrected[0], corrected[1:]
		}
		out[i].relation = j.relate(out[i])
		if out[i].relation == unresolved {
			out[i].why = j.doubt(out[i], len(p))
		}
	}
	return out
}

// relate is the decision rule: a difference counts when it is both significant and large enough to matter; two are alike
// when their difference is known to be smaller than that.
func (j judge) relate(c comparison) relation {
	significant := c.pHolm < alpha
	switch {
	case significant && c.effect.Median >= j.threshold:
		return better
	case significant && c.effect.Median <= -j.threshold:
		return worse
	case significant, c.effect.Low >= -j.threshold && c.effect.High <= j.threshold:
		return alike
	}
	return unresolved
}

// doubt says why a comparison came to nothing, with what would help.
func (j judge) doubt(c comparison, compared int) string {
	switch {
	case c.pairs == 0:
		return "no round has all its measurements"
	case c.pairs < pairsNeeded(compared):
		return tooFew(c.pairs, compared)
	}
	return fmt.Sprintf("its score is %s to %s times as high, about %d rounds would tell", times(c.effect.Low), times(c.effect.High), j.enough(c))
}

// enough estimates how many rounds would settle an unresolved comparison, if the estimate is right and the interval
// shrinks with the square root of their number: until zero lies outside, or all of it is too small to matter.
func (j judge) enough(c comparison) int {
	distance := math.Abs(c.effect.Median)
	narrow := max(distance, j.threshold-distance)
	half := (c.effect.High - c.effect.Low) / 2
	factor := half * half / (narrow * narrow)
	if !finite(factor) || factor*float64(c.pairs) > maxRounds {
		return maxRounds
	}
	return max(c.pairs+1, int(math.Ceil(factor*float64(c.pairs))))
}

// tooFew says what is missing where rounds are fewer than the test needs.
func tooFew(rounds, compared int) string {
	return fmt.Sprintf("%s cannot show a difference with %s, at least %d are needed",
		plural(rounds, "round"), plural(compared, "comparison"), pairsNeeded(compared))
}

// reason is the stable code of an unresolved comparison.
func (c comparison) reason(compared int) string {
	switch {
	case c.hinges:
		return "flagged_rounds"
	case c.pairs < pairsNeeded(compared):
		return "too_few_rounds"
	}
	return "unresolved"
}

// roundsFor is how many rounds it takes, or would have taken, to settle a comparison.
func (j judge) roundsFor(c comparison, compared int) int {
	needed := pairsNeeded(compared)
	if c.relation == unresolved && c.pairs >= needed && !c.hinges {
		return j.enough(c)
	}
	return needed
}

// stands reports whether a comparison says the same without its flagged rounds. Fewer rounds alone make a test unable to
// decide, which is no contradiction: then the rounds left must be most of all, and their estimate on the same side of the
// smallest effect that matters.
func (j judge) stands(all, clean comparison, compared int) bool {
	if clean.pairs >= pairsNeeded(compared) && clean.relation != unresolved {
		return clean.relation == all.relation
	}
	effect := clean.effect.Median
	switch {
	case 2*clean.pairs <= all.pairs:
		return false
	case all.relation == better:
		return effect >= j.threshold
	case all.relation == worse:
		return effect <= -j.threshold
	}
	return math.Abs(effect) <= j.threshold
}
