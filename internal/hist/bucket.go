// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"math"
	"math/bits"
)

// Scale is the OpenTelemetry scale of every histogram here: 2^Scale buckets an octave.
const Scale = 5

const (
	perOctave = 1 << Scale
	// The buckets of the smallest and the largest float64, 2^-1074 and just under 2^1024. An exact
	// power of two is the upper bound of its bucket, hence the -1.
	lowestIndex  = -1074*perOctave - 1
	highestIndex = 1024*perOctave - 1
)

// bounds holds the lower bounds of an octave's buckets, floor(2^(j/32) * 2^63). All but the first are
// irrational, so no integer and no float equals one: m lies above bound j if and only if m > bounds[j].
// The last entry is a guard that nothing exceeds.
var bounds = [perOctave + 1]uint64{
	0x8000000000000000, 0x82cd8698ac2ba1d7, 0x85aac367cc487b14, 0x88980e8092da8527,
	0x8b95c1e3ea8bd6e6, 0x8ea4398b45cd53c0, 0x91c3d373ab11c336, 0x94f4efa8fef70961,
	0x9837f0518db8a96f, 0x9b8d39b9d54e5538, 0x9ef5326091a111ad, 0xa27043030c496818,
	0xa5fed6a9b15138ea, 0xa9a15ab4ea7c0ef8, 0xad583eea42a14ac6, 0xb123f581d2ac258f,
	0xb504f333f9de6484, 0xb8fbaf4762fb9ee9, 0xbd08a39f580c36be, 0xc12c4cca66709456,
	0xc5672a115506dadd, 0xc9b9bd866e2f27a2, 0xce248c151f8480e3, 0xd2a81d91f12ae45a,
	0xd744fccad69d6af4, 0xdbfbb797daf23755, 0xe0ccdeec2a94e111, 0xe5b906e77c8348a8,
	0xeac0c6e7dd24392e, 0xefe4b99bdcdaf5cb, 0xf5257d152486cc2c, 0xfa83b2db722a033a,
	math.MaxUint64,
}

// below counts the bounds under the start of each of 64 equal cells of an octave. A cell (1/64 of the
// octave's start) is narrower than the narrowest bucket (0.0219), so it holds at most one bound and a
// single comparison finds the bucket.
var below = [64]uint8{
	0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 8, 9, 10, 10,
	11, 11, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, 19,
	19, 20, 20, 21, 21, 22, 22, 22, 23, 23, 24, 24, 25, 25, 26, 26,
	26, 27, 27, 28, 28, 28, 29, 29, 30, 30, 30, 31, 31, 31, 32, 32,
}

// index returns the bucket of m * 2^(exponent-63), where the top bit of m is set.
func index(m uint64, exponent int) int {
	j := below[m>>57&63]
	i := exponent<<Scale + int(j) - 1
	if m > bounds[j] {
		i++
	}
	return i
}

// intIndex returns the bucket of v > 0.
func intIndex(v uint64) int {
	zeros := bits.LeadingZeros64(v)
	return index(v<<zeros, 63-zeros)
}

// floatIndex returns the bucket of the finite v > 0.
func floatIndex(v float64) int {
	b := math.Float64bits(v)
	exponent := int(b >> 52)
	if exponent == 0 {
		zeros := bits.LeadingZeros64(b)
		return index(b<<zeros, 63-zeros-1074)
	}
	return index(1<<63|b<<11, exponent-1023)
}

// Bounds returns the bucket's range (lower, upper]: 2^(i/32) and 2^((i+1)/32).
func Bounds(i int) (lower, upper float64) {
	return math.Exp2(float64(i) / perOctave), math.Exp2(float64(i+1) / perOctave)
}

// midpoint returns the geometric middle of bucket i, at most a factor 2^(1/64) = 1.0109 from any value in it.
func midpoint(i int) float64 {
	return math.Exp2((float64(i) + 0.5) / perOctave)
}

// span is a run of consecutive buckets, of which the first is bucket lo.
type span struct {
	lo     int
	counts []int64
}

func (s *span) add(i int, n int64) {
	if k := i - s.lo; uint(k) < uint(len(s.counts)) {
		s.counts[k] += n
		return
	}
	s.cover(i, i)
	s.counts[i-s.lo] += n
}

// cover makes the buckets first..last addressable, in whole octaves so that growing stays rare.
func (s *span) cover(first, last int) {
	first &^= perOctave - 1
	last |= perOctave - 1
	if len(s.counts) > 0 {
		first = min(first, s.lo)
		last = max(last, s.lo+len(s.counts)-1)
	} else {
		s.lo = first
	}
	counts := make([]int64, last-first+1)
	copy(counts[s.lo-first:], s.counts)
	s.lo, s.counts = first, counts
}

func (s *span) merge(o *span) {
	if len(o.counts) == 0 {
		return
	}
	if last := o.lo + len(o.counts) - 1; len(s.counts) == 0 || o.lo < s.lo || last >= s.lo+len(s.counts) {
		s.cover(o.lo, last)
	}
	for k, n := range o.counts {
		s.counts[o.lo-s.lo+k] += n
	}
}

// highest returns the highest bucket in use, of a span that has counted something.
func (s *span) highest() int {
	k := len(s.counts) - 1
	for s.counts[k] == 0 {
		k--
	}
	return s.lo + k
}

// pairs lists the buckets in use as (index, count), lowest index first.
func (s *span) pairs() [][2]int64 {
	out := [][2]int64{}
	for k, n := range s.counts {
		if n != 0 {
			out = append(out, [2]int64{int64(s.lo + k), n})
		}
	}
	return out
}
