// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"math"
	"slices"
)

// ExactLimit is the number of values that a [Sample] keeps one by one.
const ExactLimit = 10_000

// The methods by which a [Sample] finds quantiles, as records name them.
const (
	MethodExact = "exact" // nearest rank on the values: the answer is a value that really happened
	MethodExp   = "exp5"  // nearest rank on a scale 5 exponential histogram, within 1.1 %
)

// Sample collects numbers of any sign and size. Up to [ExactLimit] of them it keeps each and answers
// exactly; above, it is a [Histogram]. The zero value is empty and ready for use, by one goroutine.
type Sample struct {
	values []float64
	sorted bool
	h      *Histogram
}

// Add takes v in and reports whether it could: NaN and the infinities are left out.
func (s *Sample) Add(v float64) bool {
	if v-v != 0 {
		return false
	}
	if s.h == nil && len(s.values) < ExactLimit {
		s.values = append(s.values, v)
		s.sorted = false
		return true
	}
	return s.inexact().RecordFloat(v)
}

// Merge takes in everything that o holds. o stays as it is.
func (s *Sample) Merge(o *Sample) {
	if s.h == nil && o.h == nil && len(s.values)+len(o.values) <= ExactLimit {
		s.values = append(s.values, o.values...)
		s.sorted = false
		return
	}
	s.inexact().Merge(o.Histogram())
}

// MergeHistogram takes in what h has counted; from then on the sample is inexact.
func (s *Sample) MergeHistogram(h *Histogram) {
	s.inexact().Merge(h)
}

// inexact turns the sample into a histogram, once.
func (s *Sample) inexact() *Histogram {
	if s.h == nil {
		s.h = s.Histogram()
		s.values = nil
	}
	return s.h
}

// Histogram returns the sample as a new histogram.
func (s *Sample) Histogram() *Histogram {
	h := new(Histogram)
	if s.h != nil {
		h.Merge(s.h)
	}
	for _, v := range s.values {
		h.RecordFloat(v)
	}
	return h
}

// Method returns how quantiles are found: [MethodExact] or [MethodExp].
func (s *Sample) Method() string {
	if s.h != nil {
		return MethodExp
	}
	return MethodExact
}

// Count returns the number of values.
func (s *Sample) Count() int64 {
	if s.h != nil {
		return s.h.Count()
	}
	return int64(len(s.values))
}

// Sum returns the sum of the values.
func (s *Sample) Sum() float64 {
	if s.h != nil {
		return s.h.Sum()
	}
	sum := 0.0
	for _, v := range s.values {
		sum += v
	}
	return sum
}

// Min returns the smallest value, NaN when there is none.
func (s *Sample) Min() float64 { return s.Quantile(0) }

// Max returns the largest value, NaN when there is none.
func (s *Sample) Max() float64 { return s.Quantile(1) }

// Quantile returns the value of rank ceil(q * count), for q from 0 to 1, by [Sample.Method]. It returns
// NaN when there is no value.
func (s *Sample) Quantile(q float64) float64 {
	switch {
	case s.h != nil:
		return s.h.Quantile(q)
	case len(s.values) == 0:
		return math.NaN()
	case !s.sorted:
		slices.Sort(s.values)
		s.sorted = true
	}
	return s.values[nearestRank(q, int64(len(s.values)))-1]
}
