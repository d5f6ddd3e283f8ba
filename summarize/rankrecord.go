// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"

	"memline/internal/record"
)

// candidateRecord is one candidate of a ranking. Every number is the median over the rounds, low and high are its 95 %
// interval, null with fewer than six rounds.
type candidateRecord struct {
	Basis     string  `json:"basis" doc:"what was measured" enum:"zram_swap,user_space"`
	Pattern   *string `json:"pattern" doc:"what the pages held; null when no label says"`
	Algorithm *string `json:"algorithm" doc:"the kernel's compressor; null for user-space codecs"`
	Codec     *string `json:"codec" doc:"the user-space codec; null for kernel compressors"`
	Verdict   string  `json:"verdict" doc:"rank: it has a place; tie: it shares the first one; vetoed; inconclusive" enum:"rank,tie,vetoed,inconclusive"`
	Rank      *int    `json:"rank" doc:"place, from 1; below the first the order is that of the medians; null without one"`
	Why       *string `json:"why" doc:"why it is vetoed or inconclusive; null otherwise"`

	Rounds           int      `json:"measured_rounds" doc:"rounds with any of its records, the warm-up not counted"`
	CompleteRounds   int      `json:"complete_rounds" doc:"rounds with all that a score needs"`
	IncompleteRounds []string `json:"incomplete_round_ids" doc:"the first twelve others"`
	FlaggedRounds    []string `json:"flagged_round_ids" doc:"the first twelve rounds in which the host disturbed it; they count"`

	PoolRatio      *float64 `json:"pool_ratio" doc:"original bytes / memory that the pool takes"`
	PoolLowRatio   *float64 `json:"pool_low_ratio" doc:"low end of its interval"`
	PoolHighRatio  *float64 `json:"pool_high_ratio" doc:"high end of its interval"`
	CodecRatio     *float64 `json:"codec_ratio" doc:"original bytes / compressed bytes"`
	CodecLowRatio  *float64 `json:"codec_low_ratio" doc:"low end of its interval"`
	CodecHighRatio *float64 `json:"codec_high_ratio" doc:"high end of its interval"`
	PageSavedBytes *float64 `json:"page_saved_bytes" doc:"memory saved for each page stored; without a pool, compressed size counts"`

	PageOutNs     *float64 `json:"page_out_cpu_ns" doc:"CPU time to swap a page out, or to compress it"`
	PageOutLowNs  *float64 `json:"page_out_cpu_low_ns" doc:"low end of its interval"`
	PageOutHighNs *float64 `json:"page_out_cpu_high_ns" doc:"high end of its interval"`
	PageInNs      *float64 `json:"page_in_cpu_ns" doc:"CPU time to swap a page in, or to decompress it"`
	PageInLowNs   *float64 `json:"page_in_cpu_low_ns" doc:"low end of its interval"`
	PageInHighNs  *float64 `json:"page_in_cpu_high_ns" doc:"high end of its interval"`

	P50Ns           *float64 `json:"readback_p50_ns" doc:"median time of a read-back"`
	P99Ns           *float64 `json:"readback_p99_ns" doc:"99th percentile of a read-back"`
	P50ExcessNs     *float64 `json:"readback_p50_excess_ns" doc:"p50 above that of the same-filled floor in the same round"`
	P50ExcessLowNs  *float64 `json:"readback_p50_excess_low_ns" doc:"low end of its interval"`
	P50ExcessHighNs *float64 `json:"readback_p50_excess_high_ns" doc:"high end of its interval"`
	P99ExcessNs     *float64 `json:"readback_p99_excess_ns" doc:"p99 above that of the same-filled floor in the same round"`
	P99ExcessLowNs  *float64 `json:"readback_p99_excess_low_ns" doc:"low end of its interval"`
	P99ExcessHighNs *float64 `json:"readback_p99_excess_high_ns" doc:"high end of its interval"`

	Score         *float64 `json:"score_bytes_per_second" doc:"bytes saved for a second of CPU at the readback factor; / 10^6 is bytes per µs"`
	ScoreLow      *float64 `json:"score_low_bytes_per_second" doc:"low end of its interval"`
	ScoreHigh     *float64 `json:"score_high_bytes_per_second" doc:"high end of its interval"`
	ScoreQuarter  *float64 `json:"score_quarter_bytes_per_second" doc:"the score at a readback factor of 0.25"`
	ScoreFourfold *float64 `json:"score_fourfold_bytes_per_second" doc:"the score at a readback factor of 4"`

	ToDefault    *string  `json:"to_default" doc:"its score against the default's: default, better, worse, tie, inconclusive; null when they were not compared"`
	DefaultPairs *int     `json:"default_paired_rounds" doc:"rounds that both completed"`
	Default      *float64 `json:"default_relative" doc:"its score over the default's, Hodges-Lehmann estimate"`
	DefaultLow   *float64 `json:"default_low_relative" doc:"low end of the exact 95 % interval"`
	DefaultHigh  *float64 `json:"default_high_relative" doc:"high end of the exact 95 % interval"`
	DefaultP     *float64 `json:"default_p_fraction" doc:"p value of the exact signed-rank test"`
	DefaultPHolm *float64 `json:"default_corrected_p_fraction" doc:"the same, corrected for the number of candidates"`
	ToBest       *string  `json:"to_best" doc:"its score against the best one's, among those that beat the default: worse, tie, inconclusive; null otherwise"`
	BestRelative *float64 `json:"best_relative" doc:"its score over the best one's"`
	BestLow      *float64 `json:"best_low_relative" doc:"low end of the exact 95 % interval"`
	BestHigh     *float64 `json:"best_high_relative" doc:"high end of the exact 95 % interval"`
	BestPHolm    *float64 `json:"best_corrected_p_fraction" doc:"p value of that test, corrected for the number of candidates"`

	ReadbackToDefault *string  `json:"readback_to_default" doc:"its median read-back against the default's: better (faster), worse, tie, inconclusive; null when they were not compared"`
	Readback          *float64 `json:"readback_p50_relative" doc:"its median read-back over the default's, Hodges-Lehmann estimate; less is faster"`
	ReadbackLow       *float64 `json:"readback_p50_low_relative" doc:"low end of the exact 95 % interval"`
	ReadbackHigh      *float64 `json:"readback_p50_high_relative" doc:"high end of the exact 95 % interval"`
	ReadbackPHolm     *float64 `json:"readback_corrected_p_fraction" doc:"p value of that test, corrected for the number of candidates"`
}

// rankingRecord is the verdict on the candidates of one pattern.
type rankingRecord struct {
	Basis         string   `json:"basis" doc:"what was measured; user_space says nothing certain of the kernel's compressors" enum:"zram_swap,user_space"`
	Pattern       *string  `json:"pattern" doc:"what the pages held; null when no label says"`
	Verdict       string   `json:"verdict" doc:"a winner, a tie for the first place, or inconclusive" enum:"winner,tie,inconclusive"`
	Reason        *string  `json:"reason" doc:"stable code of an inconclusive verdict; null otherwise"`
	Why           string   `json:"why" doc:"the verdict in a sentence"`
	Winner        *string  `json:"winner" doc:"the one best candidate; null for a tie and where nothing is certain"`
	Recommended   *string  `json:"recommended" doc:"what to use: the winner; of a tie the one whose read-backs are surely faster than the default's, else the default, else the one with the lowest read-back p99; null where nothing is certain"`
	Few           *string  `json:"recommended_quarter" doc:"what to use at a readback factor of 0.25; null where nothing is certain"`
	Many          *string  `json:"recommended_fourfold" doc:"what to use at a readback factor of 4; null where nothing is certain"`
	Tied          []string `json:"tied" doc:"the candidates that share the first place; the first twelve"`
	Candidates    int      `json:"candidate_count" doc:"candidates judged"`
	Vetoed        int      `json:"vetoed_count" doc:"vetoed ones among them"`
	Default       string   `json:"default" doc:"what the others were compared with"`
	DefaultSource string   `json:"default_source" doc:"who chose it" enum:"kernel,codec,option,first"`
	Rounds        int      `json:"measured_rounds" doc:"rounds measured"`
	RoundsFlagged int      `json:"flagged_rounds" doc:"rounds in which the host disturbed any candidate"`
	RoundsNeeded  int      `json:"needed_rounds" doc:"rounds that it takes for the tests to be able to show a difference; where they could and did not, an estimate of how many would settle it"`
	Factor        float64  `json:"readback_factor" doc:"read-backs for each page out in the score"`
	FlipPoint     *float64 `json:"flip_point_factor" doc:"readback factor at which the two best change places; null when they never do"`
	MinEffect     float64  `json:"min_effect_fraction" doc:"smallest difference of scores that matters"`
	MaxP99Ns      *int64   `json:"max_p99_ns" doc:"longest read-back p99 allowed; null for any"`
	Host          *string  `json:"measured_host" doc:"where it was measured; null when no record says"`
	Kernel        *string  `json:"measured_kernel" doc:"its kernel; null when no record says"`
	Runs          []string `json:"measured_run_ids" doc:"the runs that the records come from; the first twelve"`
}

func (r *ranking) candidateRecord(c *candidate) candidateRecord {
	runs := len(r.runs) > 1
	out := candidateRecord{
		Basis: r.basis, Pattern: known(r.pattern), Verdict: c.verdict, Why: known(c.why),
		Rounds: c.rounds, CompleteRounds: len(c.complete),
		IncompleteRounds: roundNames(c.incomplete, runs),
		FlaggedRounds:    roundNames(slices.SortedFunc(maps.Keys(c.flags), compareRounds), runs),
		PageSavedBytes:   record.Finite(c.saved.Median),
		P50Ns:            record.Finite(c.p50.Median), P99Ns: record.Finite(c.p99.Median),
		ScoreQuarter: record.Finite(c.quarter.Median), ScoreFourfold: record.Finite(c.fourfold.Median),
	}
	if r.basis == basisUserSpace {
		out.Codec = &c.name
	} else {
		out.Algorithm = &c.name
	}
	if c.rank > 0 {
		out.Rank = &c.rank
	}
	out.PoolRatio, out.PoolLowRatio, out.PoolHighRatio = c.poolRatio.pointers()
	out.CodecRatio, out.CodecLowRatio, out.CodecHighRatio = c.codecRatio.pointers()
	out.PageOutNs, out.PageOutLowNs, out.PageOutHighNs = c.out.pointers()
	out.PageInNs, out.PageInLowNs, out.PageInHighNs = c.in.pointers()
	out.P50ExcessNs, out.P50ExcessLowNs, out.P50ExcessHighNs = c.p50Excess.pointers()
	out.P99ExcessNs, out.P99ExcessLowNs, out.P99ExcessHighNs = c.p99Excess.pointers()
	out.Score, out.ScoreLow, out.ScoreHigh = c.score.pointers()
	out.compared(c)
	return out
}

func (out *candidateRecord) compared(c *candidate) {
	if d := c.toDefault; d.relation != "" {
		out.ToDefault = known(string(d.relation))
		if d.relation != isDefault {
			out.DefaultPairs, out.DefaultP, out.DefaultPHolm = &d.pairs, &d.p, &d.pHolm
			out.Default, out.DefaultLow, out.DefaultHigh = d.effect.ratio().pointers()
		}
	}
	if d := c.readback; d.relation != "" {
		out.ReadbackToDefault, out.ReadbackPHolm = known(string(d.relation)), &d.pHolm
		quicker := d.effect
		quicker.Median, quicker.Low, quicker.High = -d.effect.Median, -d.effect.High, -d.effect.Low
		out.Readback, out.ReadbackLow, out.ReadbackHigh = quicker.ratio().pointers()
	}
	if d := c.toBest; d.relation != "" {
		out.ToBest, out.BestPHolm = known(string(d.relation)), &d.pHolm
		out.BestRelative, out.BestLow, out.BestHigh = d.effect.ratio().pointers()
	}
}

func (r *ranking) record(o *rankOptions) rankingRecord {
	out := rankingRecord{
		Basis: r.basis, Pattern: known(r.pattern), Verdict: r.verdict, Reason: known(r.reason), Why: r.headline(o),
		Candidates: len(r.candidates), Default: r.reference.name, DefaultSource: r.referenceSource,
		RoundsNeeded: max(pairsNeeded(r.compared), r.needed), Factor: o.ReadbackFactor, FlipPoint: record.Finite(r.flipFactor),
		Few: known(r.recommendedFew), Many: known(r.recommendedMany), MinEffect: o.MinEffect.share, Runs: r.runs[:min(len(r.runs), maxListed)], Tied: []string{},
	}
	if r.verdict == winner {
		out.Winner = &r.best.name
	}
	if r.recommended != nil {
		out.Recommended = &r.recommended.name
	}
	for _, c := range r.tied[:min(len(r.tied), maxListed)] {
		out.Tied = append(out.Tied, c.name)
	}
	for _, c := range r.candidates {
		if c.verdict == vetoed {
			out.Vetoed++
		}
	}
	out.Rounds, out.RoundsFlagged = r.countRounds()
	if o.MaxP99.IsSet() {
		out.MaxP99Ns = record.Known(o.MaxP99.Nanoseconds())
	}
	if len(r.hosts) == 1 {
		out.Host = &r.hosts[0]
	}
	if len(r.kernels) == 1 {
		out.Kernel = &r.kernels[0]
	}
	return out
}

// countRounds counts the rounds of a ranking, and those in which any candidate is flagged.
func (r *ranking) countRounds() (all, flagged int) {
	rounds, doubtful := map[round]bool{}, map[round]bool{}
	for _, c := range r.candidates {
		for _, at := range slices.Concat(c.complete, c.incomplete) {
			rounds[at] = true
		}
		for at := range c.flags {
			doubtful[at] = true
		}
	}
	return len(rounds), len(doubtful)
}

// known returns a pointer to the text, nil of an empty one.
func known(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
