// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
)

// sentences says in plain words who wins, how sure that is, what it costs, and what could change it. The first one is the
// verdict; of a ranking that came to nothing there is no other.
func (r *ranking) sentences(o *rankOptions) []string {
	if r.verdict == inconclusive {
		return []string{"No ranking: " + r.why + "."}
	}
	out := []string{r.verdictSentence(o)}
	c := r.recommended
	cost := fmt.Sprintf("With %s a page costs %s of CPU out and %s in", c.name, duration(c.out.Median), duration(c.in.Median))
	if c.poolRatio.N > 0 {
		cost += fmt.Sprintf(", memory holds %.2f times as much", c.poolRatio.Median)
	} else {
		cost += fmt.Sprintf(", and data shrinks %.2f times", c.codecRatio.Median)
	}
	if c.p99.N > 0 {
		cost += fmt.Sprintf(", and a read-back takes %s (p99 %s)", duration(c.p50.Median), duration(c.p99.Median))
	}
	out = append(out, cost+".")
	if first, second := r.twoBest(); second != nil {
		out = append(out, r.flipSentence(first, second, o.ReadbackFactor))
	}
	return out
}

// twoBest are the ones that the flip point is about; second is nil where there is only one.
func (r *ranking) twoBest() (first, second *candidate) {
	first = r.candidates[0]
	if len(r.candidates) > 1 && r.candidates[1].verdict != vetoed {
		second = r.candidates[1]
	}
	return first, second
}

func (r *ranking) flipSentence(first, second *candidate, factor float64) string {
	switch {
	case math.IsNaN(r.flipFactor):
		return fmt.Sprintf("The order of %s and %s is the same however often pages are read back.", first.name, second.name)
	case r.flipFactor > factor:
		return fmt.Sprintf("Where a page is read back more than %s times for each time it goes out, %s and %s change places.",
			digits(r.flipFactor), first.name, second.name)
	}
	return fmt.Sprintf("Where a page is read back less than %s times for each time it goes out, %s and %s change places.",
		digits(r.flipFactor), first.name, second.name)
}

func (r *ranking) verdictSentence(o *rankOptions) string {
	reference := r.reference.name + ", " + r.referenceRole()
	switch {
	case r.best.why != "": // the only one left
		return fmt.Sprintf("%s is %s.", r.best.name, r.best.why)
	case r.verdict == tied && r.recommended == r.reference:
		return fmt.Sprintf("%s tie: no difference of %s or more (%s); no reason to leave %s.",
			r.list(r.tied), percentText(o.MinEffect.share), r.evidence(r.firstOther(r.tied).toDefault), reference)
	case r.verdict == tied && r.best.toDefault.relation == better:
		return fmt.Sprintf("%s save %s times as much memory per CPU time as %s (%s), and cannot be told apart; %s is the one to use%s.",
			r.list(r.tied), r.each(r.tied), reference, r.evidence(r.best.toDefault), r.recommended.name, r.preference())
	case r.verdict == tied:
		return fmt.Sprintf("%s cannot be told apart; %s is the one to use%s.", r.list(r.tied), r.recommended.name, r.preference())
	case r.best == r.reference:
		return fmt.Sprintf("%s stays the best: %s", reference, r.closest())
	case r.best.toDefault.relation == better:
		return fmt.Sprintf("%s wins: it saves %s times as much memory per CPU time as %s (%s).",
			r.best.name, times(r.best.toDefault.effect.Median), reference, r.evidence(r.best.toDefault))
	}
	return fmt.Sprintf("%s wins: each of the others saves less memory per CPU time (%s).", r.best.name, plural(len(r.best.logScores), "round"))
}

// closest says how near the next one came to a default that nobody beats.
func (r *ranking) closest() string {
	for _, c := range r.candidates[1:] {
		if c.verdict == ranked {
			return fmt.Sprintf("the next, %s, saves %s times as much memory per CPU time (%s).",
				c.name, times(c.toDefault.effect.Median), r.evidence(c.toDefault))
		}
	}
	return "no other can be better by enough to matter."
}

// evidence is how sure a comparison is.
func (r *ranking) evidence(c comparison) string {
	return fmt.Sprintf("95 %% interval %s to %s, p = %s corrected, %s",
		times(c.effect.Low), times(c.effect.High), pText(c.pHolm), plural(c.pairs, "round"))
}

func (r *ranking) referenceRole() string {
	switch r.referenceSource {
	case "kernel":
		return "the kernel's default"
	case "codec":
		return "the codec to compare with"
	case "option":
		return "the chosen default"
	}
	return "the first candidate"
}

// preference says why the recommended one of a tie was picked.
func (r *ranking) preference() string {
	if r.recommended.p99.N > 0 {
		return ", its slow read-backs are the fastest"
	}
	return ""
}

func (r *ranking) firstOther(candidates []*candidate) *candidate {
	return without(candidates, r.reference)[0]
}

func (r *ranking) list(candidates []*candidate) string {
	names := make([]string, 0, len(candidates))
	for _, c := range candidates {
		names = append(names, c.name)
	}
	return andList(names)
}

func (r *ranking) each(candidates []*candidate) string {
	ratios := make([]string, 0, len(candidates))
	for _, c := range candidates {
		ratios = append(ratios, times(c.toDefault.effect.Median))
	}
	return andList(ratios)
}

func andList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// times writes a log ratio as a factor.
func times(logRatio float64) string { return fmt.Sprintf("%.2f", math.Exp(logRatio)) }

func pText(p float64) string {
	if p < 0.001 {
		return "0.001 or less"
	}
	return fmt.Sprintf("%.2g", p)
}

func percentText(share float64) string { return fmt.Sprintf("%g %%", math.Round(share*1e4)/100) }

// digits writes a positive number with three digits.
func digits(v float64) string {
	switch {
	case math.Abs(v) >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
