// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"memline/internal/cli"
	"memline/internal/exit"
)

// The bases of a ranking.
const (
	basisZram      = "zram_swap"
	basisUserSpace = "user_space"
)

// userSpaceDefault is what user-space codecs are compared with, since no kernel has a default among them.
const userSpaceDefault = "lz4"

// maxRounds bounds the time of the exact tests.
const maxRounds = 500

// ranking is the judged candidates of one pattern, best first.
type ranking struct {
	basis      string
	pattern    string
	candidates []*candidate
	outcome
	referenceSource string // kernel, option, codec or first
	// recommendedFew and recommendedMany are what to use at a readback factor of 0.25 and of 4; empty where nothing is certain.
	recommendedFew, recommendedMany string
	runs                            []string
	hosts, kernels                  []string
}

// rank is the rank command.
func rank(ctx context.Context, env *cli.Env, o *rankOptions) error {
	warn := env.Warn
	if o.Emit != "" { // settings are all that is to be printed
		warn = func(_, format string, args ...any) { env.Debugf("warning: "+format, args...) }
	}
	b := newBenchmark(warn)
	in := input{env: env, use: b.add}
	if err := in.readAll(ctx, o.Files); err != nil {
		return err
	}
	rankings, err := b.rankings(o)
	if err != nil {
		env.Emit("input", in.tally)
		return errors.Join(in.verdict(), err)
	}
	if o.Emit != "" {
		if err := emitSettings(env.Stdout, o.Emit, rankings); err != nil {
			return errors.Join(in.verdict(), err)
		}
		return in.verdict()
	}
	for _, r := range rankings {
		for _, c := range r.candidates {
			env.Emit("candidate", r.candidateRecord(c))
		}
		env.Emit("ranking", r.record(o))
	}
	env.Emit("input", in.tally)
	if env.Table {
		if err := printRankings(env.Stdout, rankings, o); err != nil {
			return err
		}
	}
	return errors.Join(in.verdict(), unranked(rankings))
}

// unranked is the error of rankings that came to nothing.
func unranked(rankings []*ranking) error {
	for _, r := range rankings {
		if r.verdict == inconclusive {
			return exit.New(exit.Inconclusive, r.reason, "no ranking%s: %s", r.ofPattern(rankings), r.why)
		}
	}
	return nil
}

// ofPattern names the pattern in a sentence, where there are several.
func (r *ranking) ofPattern(all []*ranking) string {
	if len(all) < 2 {
		return ""
	}
	return fmt.Sprintf(" of the pattern %q", r.pattern)
}

// rankings judges every pattern of the benchmark; zram's where there are any, else the user-space codecs'.
func (b *benchmark) rankings(o *rankOptions) ([]*ranking, error) {
	basis, fields := basisZram, b.withCandidates(b.zram)
	if len(fields) == 0 {
		basis, fields = basisUserSpace, b.withCandidates(b.userSpace)
	}
	if len(fields) == 0 {
		return nil, exit.New(exit.Inconclusive, "no_candidates",
			"no measurement has a label algorithm and a label round of 1 or more; rank the records of scripts/bench-compressors.sh")
	}
	var all []*ranking
	for _, f := range fields {
		r := &ranking{basis: basis, pattern: f.pattern, runs: b.runs, hosts: b.hosts, kernels: b.kernels}
		r.candidates = b.measure(f, o.ReadbackFactor, o.MaxP99.Duration)
		reference, err := r.findReference(o.Default, b)
		if err != nil {
			return nil, err
		}
		if basis == basisZram {
			b.warnMissing(f, r.candidates)
		}
		if reason, why := b.unfit(f); reason != "" {
			r.refuse(reference, reason, why)
		} else {
			r.outcome = newJudge(o.MinEffect.share).decide(r.candidates, reference)
			r.recommendedFew = b.recommendedAt(fewReadbacks, f, reference.name, o)
			r.recommendedMany = b.recommendedAt(manyReadbacks, f, reference.name, o)
		}
		all = append(all, r)
	}
	return all, nil
}

// recommendedAt judges the same rounds at another readback factor and names what to use there.
func (b *benchmark) recommendedAt(factor float64, f *field, reference string, o *rankOptions) string {
	candidates := b.measure(f, factor, o.MaxP99.Duration)
	at := slices.IndexFunc(candidates, func(c *candidate) bool { return c.name == reference })
	if r := newJudge(o.MinEffect.share).decide(candidates, candidates[at]).recommended; r != nil {
		return r.name
	}
	return ""
}

// withCandidates leaves out patterns of which there is only a floor, or nothing beyond a warm-up without faults.
func (b *benchmark) withCandidates(fields []*field) []*field {
	return slices.DeleteFunc(slices.Clone(fields), func(f *field) bool {
		return !slices.ContainsFunc(f.entries, func(e *entry) bool { return len(e.rounds) > 0 })
	})
}

// findReference picks what the others are compared with.
func (r *ranking) findReference(asked string, b *benchmark) (*candidate, error) {
	find := func(name string) *candidate {
		i := slices.IndexFunc(r.candidates, func(c *candidate) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		return r.candidates[i]
	}
	own, source := b.defaultName, "kernel"
	if r.basis == basisUserSpace {
		own, source = userSpaceDefault, "codec"
	}
	if asked != "" {
		if c := find(asked); c != nil {
			r.referenceSource = "option"
			return c, nil
		}
		return nil, exit.New(exit.Inconclusive, "unknown_default", "--default: %s is not among the candidates (%s)", asked, r.names())
	}
	if c := find(own); c != nil {
		r.referenceSource = source
		return c, nil
	}
	r.referenceSource = "first"
	b.warnOnce("no_default", "the records do not tell a default that was measured; %s, the first candidate, stands in for it, or give --default", r.candidates[0].name)
	return r.candidates[0], nil
}

func (r *ranking) names() string {
	names := make([]string, 0, len(r.candidates))
	for _, c := range r.candidates {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// unfit says why records cannot be ranked together at all.
func (b *benchmark) unfit(f *field) (reason, why string) {
	switch {
	case len(b.hosts) > 1:
		return "mixed_hosts", fmt.Sprintf("the records come from several hosts (%s), rank each host's own", strings.Join(b.hosts, ", "))
	case len(b.kernels) > 1:
		return "mixed_kernels", fmt.Sprintf("the records come from several kernels (%s), rank each kernel's own", strings.Join(b.kernels, ", "))
	}
	for _, e := range f.entries {
		if len(e.rounds) > maxRounds {
			return "too_many_rounds", fmt.Sprintf("%s has %d rounds, the exact tests take at most %d", e.name, len(e.rounds), maxRounds)
		}
	}
	return "", ""
}

// refuse makes everything inconclusive.
func (r *ranking) refuse(reference *candidate, reason, why string) {
	r.outcome = newJudge(0).decide(nil, reference)
	r.fail(reason, why)
	for _, c := range r.candidates {
		c.verdict, c.why = inconclusive, why
	}
}

// warnMissing tells of rounds without a floor and of rounds that did not finish.
func (b *benchmark) warnMissing(f *field, candidates []*candidate) {
	without, floor := map[round]bool{}, b.floorOf(f)
	for _, e := range f.entries {
		for at, c := range e.rounds {
			if c.in != nil && (floor == nil || floor.rounds[at] == nil || floor.rounds[at].in == nil) {
				without[at] = true
			}
		}
	}
	if len(without) > 0 {
		b.warn("no_floor", "%s: no same-filled floor beside the read-backs, which have no excess there", plural(len(without), "round"))
	}
	for _, c := range candidates {
		if len(c.incomplete) > 0 {
			b.warn("incomplete_rounds", "%s lacks measurements in %s (%s); its pairs leave them out", c.name,
				plural(len(c.incomplete), "round"), strings.Join(roundNames(c.incomplete, len(b.runs) > 1), ", "))
		}
	}
}

// maxListed bounds lists of rounds and names in records.
const maxListed = 12

// roundNames lists rounds, with their run where there are several.
func roundNames(rounds []round, runs bool) []string {
	names := []string{}
	for _, at := range rounds[:min(len(rounds), maxListed)] {
		name := fmt.Sprint(at.number)
		if runs {
			name = at.run + ":" + name
		}
		names = append(names, name)
	}
	return names
}
