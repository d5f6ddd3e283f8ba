// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// headline is the verdict in a sentence.
func (r *ranking) headline(o *rankOptions) string {
	if r.verdict == inconclusive {
		return "No ranking: " + r.why + "."
	}
	return r.verdictSentence(o)
}

// sentences says in plain words who wins, how sure that is, what it costs, and what could change it. Of a ranking that came
// to nothing the last one is the verdict, after what is certain nevertheless.
func (r *ranking) sentences(o *rankOptions) []string {
	if r.verdict == inconclusive {
		if facts := r.certainReadbacks(); facts != "" {
			return []string{"Certain all the same: " + facts + ".", r.headline(o)}
		}
		return []string{r.headline(o)}
	}
	out := []string{r.headline(o)}
	c := r.recommended
	cost := fmt.Sprintf("With %s a page costs %s of CPU out and %s in", c.name, duration(c.out.Median), duration(c.in.Median))
	if c.poolRatio.N > 0 {
		cost += fmt.Sprintf(", memory holds %.2f times as much", c.poolRatio.Median)
		if c != r.reference {
			cost += fmt.Sprintf(" (%.2f with %s)", r.reference.poolRatio.Median, r.reference.name)
		}
	} else {
		cost += fmt.Sprintf(", and data shrinks %.2f times", c.codecRatio.Median)
	}
	if c.p99.N > 0 {
		cost += fmt.Sprintf(", and a read-back takes %s (p99 %s)", duration(c.p50.Median), duration(c.p99.Median))
	}
	out = append(out, cost+".", r.alternatives())
	if facts := r.certainReadbacks(); facts != "" && r.recommended == r.reference {
		out = append(out, "Besides, "+facts+".")
	}
	if rounds, flagged := r.countRounds(); flagged > 0 {
		text := fmt.Sprintf("The host disturbed %s of %d; they are flagged and count", plural(flagged, "round"), rounds)
		if !slices.ContainsFunc(r.candidates, func(c *candidate) bool { return c.toDefault.hinges || c.toBest.hinges }) {
			text += ", and no place above hangs on them"
		}
		out = append(out, text+".")
	}
	return out
}

// certainReadbacks says whose read-backs are surely faster or slower than the default's; empty where nobody's are.
func (r *ranking) certainReadbacks() string {
	var all []string
	for _, c := range r.candidates {
		if rel := c.readback.relation; rel == better || rel == worse {
			all = append(all, r.readbackText(c))
		}
	}
	return andList(all)
}

func (r *ranking) readbackText(c *candidate) string {
	d := c.readback
	return fmt.Sprintf("a read-back with %s takes %s times as long as with %s (95 %% interval %s to %s, corrected p %s)", c.name,
		times(-d.effect.Median), r.reference.name, times(-d.effect.High), times(-d.effect.Low), pText(d.pHolm))
}

// alternatives says what another share of read-backs would change.
func (r *ranking) alternatives() string {
	say := func(name string) string {
		if name == "" {
			return "nothing is certain"
		}
		return name + " is the one to use"
	}
	few, many := say(r.recommendedFew), say(r.recommendedMany)
	text := fmt.Sprintf("At %g read-backs a page out %s, at %d %s", fewReadbacks, few, manyReadbacks, many)
	if few == many {
		text = fmt.Sprintf("At %g and at %d read-backs a page out %s", fewReadbacks, manyReadbacks, few)
	}
	if r.verdict == winner && !math.IsNaN(r.flipFactor) {
		text += fmt.Sprintf("; the scores of %s and %s are equal at %s", r.candidates[0].name, r.candidates[1].name, digits(r.flipFactor))
	}
	return text + "."
}

func (r *ranking) verdictSentence(o *rankOptions) string {
	reference := r.reference.name + ", " + r.referenceRole()
	switch {
	case r.best.why != "": // the only one left
		return fmt.Sprintf("%s is %s.", r.best.name, r.best.why)
	case r.verdict == tied && r.recommended == r.reference:
		return fmt.Sprintf("%s tie: against %s, %s; less than %s apart counts as the same, so there is no reason to change.",
			r.list(r.tied), reference, r.scores(without(r.tied, r.reference)), percentText(o.MinEffect.share))
	case r.verdict == tied && r.recommended.readback.relation == better && slices.Contains(r.tied, r.reference):
		return fmt.Sprintf("%s tie: against %s, %s. %s is the one to use, since %s.",
			r.list(r.tied), reference, r.scores(without(r.tied, r.reference)), r.recommended.name, r.readbackText(r.recommended))
	case r.verdict == tied && r.best.toDefault.relation == better:
		return fmt.Sprintf("%s beat %s: %s; they cannot be told apart, and %s is the one to use%s.",
			r.list(r.tied), reference, r.scores(r.tied), r.recommended.name, r.preference())
	case r.verdict == tied:
		return fmt.Sprintf("%s cannot be told apart; %s is the one to use%s.", r.list(r.tied), r.recommended.name, r.preference())
	case r.best == r.reference:
		return fmt.Sprintf("%s stays the best: %s", reference, r.closest())
	case r.best.toDefault.relation == better:
		return fmt.Sprintf("%s wins: it saves %s times as much memory per CPU time as %s (%s).",
			r.best.name, times(r.best.toDefault.effect.Median), reference, r.evidence(r.best.toDefault))
	}
	return fmt.Sprintf("%s wins: each of the others saves less memory per CPU time (%s).", r.best.name, plural(len(r.best.complete), "round"))
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
	return fmt.Sprintf("95 %% interval %s to %s, corrected p %s, %s",
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

// scores says how much each candidate saves against the default.
func (r *ranking) scores(candidates []*candidate) string {
	all := make([]string, 0, len(candidates))
	for _, c := range candidates {
		d := c.toDefault
		all = append(all, fmt.Sprintf("%s saves %s times as much memory per CPU time (%s)", c.name, times(d.effect.Median), r.evidence(d)))
	}
	return andList(all)
}

func (r *ranking) list(candidates []*candidate) string {
	names := make([]string, 0, len(candidates))
	for _, c := range candidates {
		names = append(names, c.name)
	}
	return andList(names)
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
		return "< 0.001"
	}
	return fmt.Sprintf("= %.2g", p)
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
