// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math"
	"slices"
)

// signedRankP returns the exact two-sided p value of Wilcoxon's signed-rank test (1945) for the differences of pairs: how
// often signs thrown by a fair coin would give a sum of signed ranks at least this far from its middle.
//
// Equal magnitudes share the mean of their ranks. A difference of zero is ranked with the others, so that it takes the
// lowest rank, and then has no sign (Pratt 1959): pairs that are exactly alike make the test more careful, not less. The
// distribution is that of the ranks at hand, so the result is exact with ties too. Without a difference at all it is 1.
func signedRankP(differences []float64) float64 {
	ranks, positive := signedRanks(differences)
	total := 0
	for _, r := range ranks {
		total += r
	}
	extreme := min(positive, total-positive)
	below := 0.0
	for _, p := range rankSums(ranks)[:extreme+1] {
		below += p
	}
	return min(1, 2*below)
}

// signedRanks returns twice the ranks, which makes the means of ties whole, of the differences that are not zero, and
// twice the sum of those of the positive ones.
func signedRanks(differences []float64) (ranks []int, positive int) {
	d := slices.SortedFunc(slices.Values(differences), func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	for i := 0; i < len(d); {
		j := i + 1
		for j < len(d) && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		rank := i + 1 + j // twice the mean of ranks i+1 to j
		for ; i < j; i++ {
			if d[i] == 0 {
				continue
			}
			ranks = append(ranks, rank)
			if d[i] > 0 {
				positive += rank
			}
		}
	}
	return ranks, positive
}

// rankSums returns the probability of every sum of ranks when each rank counts with probability one half.
func rankSums(ranks []int) []float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	p := make([]float64, total+1)
	p[0] = 1
	reached := 0
	for _, r := range ranks {
		reached += r
		for s := reached; s >= 0; s-- {
			p[s] /= 2
			if s >= r {
				p[s] += p[s-r] / 2
			}
		}
	}
	return p
}

// shiftOf returns the Hodges-Lehmann estimate (1963) of the middle of the differences, the median of the means of all
// pairs of them (Walsh averages), with the interval that the signed-rank test at 5 % does not reject (Tukey's; Hollander
// and Wolfe, Nonparametric Statistical Methods, 3.3). The interval takes at least six differences and, with ties, is a
// little wide.
func shiftOf(differences []float64) estimate {
	e := estimate{Median: math.NaN(), Low: math.NaN(), High: math.NaN(), N: len(differences)}
	if len(differences) == 0 {
		return e
	}
	walsh := make([]float64, 0, len(differences)*(len(differences)+1)/2)
	for i, a := range differences {
		for _, b := range differences[:i+1] {
			walsh = append(walsh, a/2+b/2)
		}
	}
	slices.Sort(walsh)
	m := len(walsh)
	e.Median = (walsh[(m-1)/2] + walsh[m/2]) / 2
	if k := walshRank(len(differences)); k > 0 {
		e.Low, e.High = walsh[k-1], walsh[m-k]
	}
	return e
}

// walshRank returns the rank, from either end, of the Walsh average that bounds the 95 % interval of n differences; 0
// when there are too few for one. It is one more than the largest rank sum in the lower 2.5 % of the distribution.
func walshRank(n int) int {
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	below := 0.0
	for sum, p := range rankSums(ranks) {
		below += p
		if below > (1-confidence)/2 {
			return sum
		}
	}
	return 0 // not reached: the probabilities add up to 1
}

// holm returns the p values corrected for their number (Holm 1979), in the same order: the smallest times n, the next
// times n-1, and so on, never falling. Each can be held against alpha; the chance of any false alarm stays below alpha.
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	corrected := make([]float64, len(p))
	highest := 0.0
	for i, at := range order {
		highest = max(highest, min(1, p[at]*float64(len(p)-i)))
		corrected[at] = highest
	}
	return corrected
}

// alpha is the chance of calling a difference where there is none that is accepted for a whole family of comparisons.
const alpha = 0.05

// pairsNeeded returns how many pairs it takes for the exact test to be able to reach alpha when it is one of this many
// comparisons: the smallest n with comparisons * 2/2^n < alpha.
func pairsNeeded(comparisons int) int {
	n := 1
	for float64(max(comparisons, 1))*math.Exp2(float64(1-n)) >= alpha {
		n++
	}
	return n
}
