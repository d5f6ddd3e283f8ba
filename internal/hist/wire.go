// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// PartBuckets is a number of buckets which always fits into a record of 4096 bytes: a bucket takes at
// most 26 bytes of JSON, so 1400 bytes are left for the other fields and the labels.
const PartBuckets = 100

// Wire is a histogram, or one part of a long one, as it stands in a record. Every part repeats the
// totals of the whole, so a missing part is noticed; only the buckets are divided.
type Wire struct {
	Scale     int        `json:"scale" doc:"OpenTelemetry scale, always 5: bucket i holds (2^(i/32), 2^((i+1)/32)]"`
	Count     int64      `json:"count" doc:"number of values in the whole histogram"`
	Sum       float64    `json:"sum" doc:"sum of the values in the whole histogram"`
	Min       *float64   `json:"min" doc:"smallest value, null when count is 0"`
	Max       *float64   `json:"max" doc:"largest value, null when count is 0"`
	ZeroCount int64      `json:"zero_count" doc:"number of values equal to 0 in the whole histogram"`
	Buckets   [][2]int64 `json:"buckets" doc:"[index, count] of the positive buckets in use, by index"`
	Negative  [][2]int64 `json:"negative_buckets" doc:"[index, count] of the negative buckets in use, by index of the magnitude"`
	Part      int        `json:"part" doc:"number of this part, from 1"`
	Parts     int        `json:"parts" doc:"number of parts the buckets are divided into"`
}

// Wire returns the histogram in one piece.
func (h *Histogram) Wire() Wire {
	return h.Parts(math.MaxInt)[0]
}

// Parts returns the histogram in pieces of at most maxBuckets buckets (see [PartBuckets]), at least one.
func (h *Histogram) Parts(maxBuckets int) []Wire {
	maxBuckets = max(maxBuckets, 1)
	pos, neg := h.pos.pairs(), h.neg.pairs()
	total := 1
	if n := len(pos) + len(neg); n > 0 {
		total = (n-1)/maxBuckets + 1
	}
	parts := make([]Wire, total)
	lowest, highest := h.min, h.max
	for i := range parts {
		w := Wire{Scale: Scale, Count: h.count, Sum: h.sum, ZeroCount: h.zero, Part: i + 1, Parts: total}
		if h.count > 0 {
			w.Min, w.Max = &lowest, &highest
		}
		cut := min(maxBuckets, len(pos))
		w.Buckets, pos = pos[:cut:cut], pos[cut:]
		cut = min(maxBuckets-cut, len(neg))
		w.Negative, neg = neg[:cut:cut], neg[cut:]
		parts[i] = w
	}
	return parts
}

// FromWire returns the histogram that was written as these parts, in any order. It fails when a part is
// missing, twice, or of another histogram, and when the numbers contradict each other.
func FromWire(parts ...Wire) (*Histogram, error) {
	if len(parts) == 0 {
		return nil, errors.New("read histogram: no part given")
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b Wire) int { return cmp.Compare(a.Part, b.Part) })
	first := parts[0]
	h := &Histogram{count: first.Count, zero: first.ZeroCount, sum: first.Sum}
	left := first.Count - first.ZeroCount
	if first.Count < 0 || first.ZeroCount < 0 || left < 0 {
		return nil, fmt.Errorf("read histogram: count %d with zero_count %d is not possible", first.Count, first.ZeroCount)
	}
	for i, p := range parts {
		switch {
		case p.Scale != Scale:
			return nil, fmt.Errorf("read histogram: scale %d, this program reads only scale %d", p.Scale, Scale)
		case p.Parts != len(parts) || p.Part != i+1:
			return nil, fmt.Errorf("read histogram: part %d of %d stands where part %d of %d should; give every part once", p.Part, p.Parts, i+1, len(parts))
		case !sameTotals(first, p):
			return nil, fmt.Errorf("read histogram: part %d has other totals than part 1; it belongs to another histogram", p.Part)
		}
		err := h.pos.read(p.Buckets, &left)
		if err == nil {
			err = h.neg.read(p.Negative, &left)
		}
		if err != nil {
			return nil, fmt.Errorf("read histogram: part %d: %w", p.Part, err)
		}
	}
	if left != 0 {
		return nil, fmt.Errorf("read histogram: the buckets lack %d of %d values", left, first.Count)
	}
	if err := h.setRange(first); err != nil {
		return nil, fmt.Errorf("read histogram: %w", err)
	}
	return h, nil
}

// read adds buckets, each above those already there, and takes their counts off left.
func (s *span) read(pairs [][2]int64, left *int64) error {
	for _, p := range pairs {
		if p[0] < lowestIndex || p[0] > highestIndex {
			return fmt.Errorf("bucket %d does not exist", p[0])
		}
		if p[1] < 1 || p[1] > *left {
			return fmt.Errorf("bucket %d counts %d values, of which at most %d are left", p[0], p[1], *left)
		}
		i := int(p[0])
		if len(s.counts) > 0 && i <= s.highest() {
			return fmt.Errorf("bucket %d is out of order", i)
		}
		*left -= p[1]
		s.add(i, p[1])
	}
	return nil
}

func sameTotals(a, b Wire) bool {
	same := func(x, y *float64) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }
	return a.Count == b.Count && a.ZeroCount == b.ZeroCount && a.Sum == b.Sum && same(a.Min, b.Min) && same(a.Max, b.Max)
}

// setRange takes over min and max, after checking that they lie in the outermost buckets in use.
func (h *Histogram) setRange(w Wire) error {
	if h.count == 0 {
		if w.Min != nil || w.Max != nil || w.Sum != 0 {
			return errors.New("an empty histogram has no min, max or sum")
		}
		return nil
	}
	if w.Min == nil || w.Max == nil || *w.Min > *w.Max || w.Sum-w.Sum != 0 {
		return errors.New("min, max or sum is missing or out of order")
	}
	h.min, h.max = *w.Min, *w.Max
	var ends Histogram
	if !ends.RecordFloat(h.min) || !ends.RecordFloat(h.max) {
		return errors.New("min and max must be finite")
	}
	lowest, highest := h.ends()
	if l, u := ends.ends(); l != lowest || u != highest {
		return errors.New("min and max do not lie in the outermost buckets")
	}
	return nil
}

// place is a bucket, or the count of zero, on the line of all numbers.
type place struct {
	sign, index int
}

// ends returns the places of the smallest and the largest value of a histogram that has any.
func (h *Histogram) ends() (smallest, largest place) {
	var used []place
	neg, pos := h.neg.pairs(), h.pos.pairs()
	if n := len(neg); n > 0 {
		used = append(used, place{-1, int(neg[n-1][0])}, place{-1, int(neg[0][0])})
	}
	if h.zero > 0 {
		used = append(used, place{})
	}
	if n := len(pos); n > 0 {
		used = append(used, place{1, int(pos[0][0])}, place{1, int(pos[n-1][0])})
	}
	return used[0], used[len(used)-1]
}
