// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactIndex is the definition: the largest i with base^i < v, found with integers of any size.
// v > 2^(i/32) if and only if v^32 > 2^i.
func exactIndex(v uint64) int {
	p := new(big.Int).Exp(new(big.Int).SetUint64(v), big.NewInt(32), nil)
	i := p.BitLen() - 1
	if p.TrailingZeroBits() == uint(i) {
		i--
	}
	return i
}

func TestIndexIsExact(t *testing.T) {
	check := func(v uint64) {
		t.Helper()
		if got, want := intIndex(v), exactIndex(v); got != want {
			t.Errorf("intIndex(%d) = %d, want %d", v, got, want)
		}
		if f := float64(v); v < 1<<53 {
			if got, want := floatIndex(f), exactIndex(v); got != want {
				t.Errorf("floatIndex(%v) = %d, want %d", f, got, want)
			}
		}
	}
	for v := range uint64(5000) {
		check(v + 1)
	}
	for e := range 63 {
		for _, b := range bounds[:perOctave] {
			at := b >> (63 - e)
			for _, v := range []uint64{at - 1, at, at + 1} {
				if v > 0 && v <= math.MaxInt64 {
					check(v)
				}
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		check(r.Uint64()>>(1+r.IntN(62)) + 1)
	}
}

func TestPowersOfTwoEndTheirBucket(t *testing.T) {
	for k := range 63 {
		if got, want := intIndex(1<<k), 32*k-1; got != want {
			t.Errorf("intIndex(1<<%d) = %d, want %d", k, got, want)
		}
	}
	for k := -1074; k < 1024; k++ {
		v := math.Ldexp(1, k)
		if got, want := floatIndex(v), 32*k-1; got != want {
			t.Errorf("floatIndex(2^%d) = %d, want %d", k, got, want)
		}
		if next := math.Nextafter(v, math.Inf(1)); k > -1022 {
			if got, want := floatIndex(next), 32*k; got != want {
				t.Errorf("floatIndex(just above 2^%d) = %d, want %d", k, got, want)
			}
		}
	}
	if got, want := floatIndex(math.MaxFloat64), highestIndex; got != want {
		t.Errorf("floatIndex(largest) = %d, want %d", got, want)
	}
	if got, want := floatIndex(math.SmallestNonzeroFloat64), lowestIndex; got != want {
		t.Errorf("floatIndex(smallest) = %d, want %d", got, want)
	}
}

func TestTables(t *testing.T) {
	for j, got := range bounds[:perOctave] {
		want := new(big.Int).Lsh(big.NewInt(1), uint(j+63*perOctave))
		for range Scale {
			want.Sqrt(want)
		}
		if got != want.Uint64() {
			t.Errorf("bounds[%d] = %#x, want %#x", j, got, want)
		}
	}
	for c, got := range below {
		start, want := uint64(1)<<63+uint64(c)<<57, 0
		for want < perOctave && bounds[want] < start {
			want++
		}
		if int(got) != want {
			t.Errorf("below[%d] = %d, want %d", c, got, want)
		}
	}
}

func TestBoundsHoldTheirValues(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		v := math.Ldexp(r.Float64()+0.5, r.IntN(1200)-600)
		lower, upper := Bounds(floatIndex(v))
		if v < lower*(1-1e-13) || v > upper*(1+1e-13) {
			t.Errorf("Bounds(%d) = %v..%v, want them around %v", floatIndex(v), lower, upper, v)
		}
	}
}
