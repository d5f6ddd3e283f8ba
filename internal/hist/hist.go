// SPDX-License-Identifier: Apache-2.0

// Package hist counts values in one kind of histogram: base-2 exponential, 32 buckets an octave.
//
// Bucket i holds the values in (base^i, base^(i+1)] with base = 2^(1/32), upper bound included, exactly
// as an OpenTelemetry exponential histogram of scale 5 does, so the two map one to one. A power of two
// 2^k is therefore the last value of bucket 32k-1, and 1 is in bucket -1. Zero has a count of its own and
// negative values have their own buckets, numbered by magnitude. Bucket numbers are exact: no value lands
// in a neighbour by rounding.
//
// A quantile is the nearest rank (the smallest value with at least q of all values at or below it),
// reported as the geometric middle of its bucket and never outside [min, max]. It is at most 1.1 % from
// the value that really has this rank: 2^(1/64) = 1.0109. Merging adds counts, so the order of merging
// and the number of processes that recorded do not matter.
//
// [Histogram] records in a few nanoseconds and does not allocate once its buckets exist. [Sample] keeps
// the values themselves while they are few and becomes a Histogram when they are many. [Wire] is the form
// in which a histogram stands in a record.
package hist

import "math"

// Histogram counts values in exponential buckets. The zero value is empty and ready for use; [New]
// reserves its memory beforehand. It is for one goroutine: give each its own, then [Histogram.Merge].
type Histogram struct {
	count, zero int64
	sum         float64
	min, max    float64
	pos, neg    span
}

// New returns an empty histogram which already has every bucket that a positive int64 can need (16 KiB),
// so that [Histogram.Record] never allocates.
func New() *Histogram {
	h := new(Histogram)
	h.pos.cover(-1, 63*perOctave-1)
	return h
}

// Record counts v, usually a duration in nanoseconds.
func (h *Histogram) Record(v int64) {
	if v > 0 {
		h.pos.add(intIndex(uint64(v)), 1)
	} else if v == 0 {
		h.zero++
	} else {
		h.neg.add(intIndex(-uint64(v)), 1)
	}
	h.note(float64(v))
}

// RecordFloat counts v and reports whether it could: NaN and the infinities are not counted.
func (h *Histogram) RecordFloat(v float64) bool {
	switch {
	case v-v != 0:
		return false
	case v > 0:
		h.pos.add(floatIndex(v), 1)
	case v == 0:
		h.zero++
	default:
		h.neg.add(floatIndex(-v), 1)
	}
	h.note(v)
	return true
}

func (h *Histogram) note(v float64) {
	if h.count == 0 {
		h.min, h.max = v, v
	}
	if v < h.min {
		h.min = v
	}
	if v > h.max {
		h.max = v
	}
	h.sum += v
	h.count++
}

// Merge adds everything o has counted. o stays as it is.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h.count == 0 {
		h.min, h.max = o.min, o.max
	}
	h.min = min(h.min, o.min)
	h.max = max(h.max, o.max)
	h.count += o.count
	h.zero += o.zero
	h.sum += o.sum
	h.pos.merge(&o.pos)
	h.neg.merge(&o.neg)
}

// Count returns the number of values.
func (h *Histogram) Count() int64 { return h.count }

// Sum returns the sum of the values, exact for integers as long as it stays below 2^53.
func (h *Histogram) Sum() float64 { return h.sum }

// Min returns the smallest value, NaN when there is none.
func (h *Histogram) Min() float64 { return orNaN(h.min, h.count) }

// Max returns the largest value, NaN when there is none.
func (h *Histogram) Max() float64 { return orNaN(h.max, h.count) }

// Quantile returns the value of rank ceil(q * count), for q from 0 to 1, within 1.1 %; the first and the
// last rank are exact. It returns NaN when there is no value.
func (h *Histogram) Quantile(q float64) float64 {
	if h.count == 0 {
		return math.NaN()
	}
	rank := nearestRank(q, h.count)
	switch rank {
	case 1:
		return h.min
	case h.count:
		return h.max
	}
	return max(h.min, min(h.max, h.ranked(rank)))
}

// ranked walks the buckets from the most negative to the most positive value.
func (h *Histogram) ranked(rank int64) float64 {
	for k := len(h.neg.counts) - 1; k >= 0; k-- {
		if rank -= h.neg.counts[k]; rank <= 0 {
			return -midpoint(h.neg.lo + k)
		}
	}
	if rank -= h.zero; rank <= 0 {
		return 0
	}
	for k, n := range h.pos.counts {
		if rank -= n; rank <= 0 {
			return midpoint(h.pos.lo + k)
		}
	}
	return h.max
}

// nearestRank returns ceil(q * n) within [1, n]. A product that is a whole number but for the rounding of
// q (0.07 * 100 is 7.000000000000001) counts as that number.
func nearestRank(q float64, n int64) int64 {
	r := q * float64(n)
	if whole := math.Round(r); math.Abs(r-whole) <= 4e-16*whole {
		r = whole
	}
	r = math.Ceil(r)
	switch {
	case r >= float64(n):
		return n
	case r > 1:
		return int64(r)
	}
	return 1
}

func orNaN(v float64, count int64) float64 {
	if count == 0 {
		return math.NaN()
	}
	return v
}
