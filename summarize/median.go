// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"

	"memline/internal/record"
)

// confidence is the least coverage of every interval.
const confidence = 0.95

// estimate is a number found from n values with its 95 % interval. Median is NaN without values; Low and High are NaN
// where n values are too few for an interval.
type estimate struct {
	Median, Low, High float64
	N                 int
}

// medianOf returns the median of the values and the interval between two of them, equally far from both ends, that holds
// the median of what they were drawn from with at least 95 % confidence, whatever its distribution (the sign test turned
// round: Thompson 1936; Conover, Practical Nonparametric Statistics, 3.2). It takes at least six values.
func medianOf(values []float64) estimate {
	e := estimate{Median: math.NaN(), Low: math.NaN(), High: math.NaN(), N: len(values)}
	if len(values) == 0 {
		return e
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	e.Median = sorted[n/2]
	if n%2 == 0 {
		e.Median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	if k := medianRank(n); k > 0 {
		e.Low, e.High = sorted[k-1], sorted[n-k]
	}
	return e
}

// medianRank returns the largest k for which the k-th smallest and the k-th largest of n values enclose the median with
// at least 95 % confidence, 0 when even the smallest and the largest do not: P(fewer than k values below) <= 2.5 %.
func medianRank(n int) int {
	term := math.Exp2(-float64(n)) // of the binomial distribution with p = 1/2
	below := 0.0
	for k := 0; k <= n/2; k++ {
		below += term
		if below > (1-confidence)/2 {
			return k
		}
		term *= float64(n-k) / float64(k+1)
	}
	return n / 2
}

// pointers are median, low and high as a record has them: null where they are not known.
func (e estimate) pointers() (median, low, high *float64) {
	return record.Finite(e.Median), record.Finite(e.Low), record.Finite(e.High)
}

// ratio turns an estimate of a log ratio into one of the ratio.
func (e estimate) ratio() estimate {
	return estimate{math.Exp(e.Median), math.Exp(e.Low), math.Exp(e.High), e.N}
}
