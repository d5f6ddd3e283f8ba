// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMedianRank checks against the critical values of the sign test, two-sided 5 %, that textbooks print for n = 6 to 25;
// golang.org/x/perf/benchmath chooses the same ranks wherever its interval is symmetric.
func TestMedianRank(t *testing.T) {
	want := []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8}
	for n, k := range want {
		if got := medianRank(n); got != k {
			t.Errorf("medianRank(%d) = %d, want %d", n, got, k)
		}
	}
}

// TestMedianRankEnumerated counts all ways in which n values can fall below or above the true median.
func TestMedianRankEnumerated(t *testing.T) {
	for n := 1; n <= 16; n++ {
		coverage := func(k int) float64 {
			inside := 0
			for below := range 1 << n { // one bit a value: is it below the true median?
				if c := bits.OnesCount(uint(below)); c >= k && c <= n-k {
					inside++
				}
			}
			return float64(inside) / float64(int(1)<<n)
		}
		k := medianRank(n)
		if k > 0 && coverage(k) < confidence {
			t.Errorf("medianRank(%d) = %d, which covers %g", n, k, coverage(k))
		}
		if next := k + 1; next <= (n+1)/2 && coverage(next) >= confidence {
			t.Errorf("medianRank(%d) = %d, but %d covers %g", n, k, next, coverage(next))
		}
	}
}

func TestMedianOf(t *testing.T) {
	for _, tt := range []struct {
		values            []float64
		median, low, high float64
	}{
		{[]float64{5}, 5, math.NaN(), math.NaN()},
		{[]float64{4, 1, 3, 2}, 2.5, math.NaN(), math.NaN()},
		{[]float64{6, 5, 4, 3, 2, 1}, 3.5, 1, 6},
		{[]float64{7, 1, 6, 2, 5, 3, 4}, 4, 1, 7},
		{[]float64{9, 8, 7, 6, 5, 4, 3, 2, 1}, 5, 2, 8},
	} {
		got := medianOf(tt.values)
		if want := (estimate{tt.median, tt.low, tt.high, len(tt.values)}); !sameEstimate(got, want) {
			t.Errorf("medianOf(%v) = %v, want %v", tt.values, got, want)
		}
	}
	if got := medianOf(nil); !math.IsNaN(got.Median) || got.N != 0 {
		t.Errorf("medianOf(nil) = %v, want NaN of 0", got)
	}
}

func sameEstimate(a, b estimate) bool {
	same := func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
	return same(a.Median, b.Median) && same(a.Low, b.Low) && same(a.High, b.High) && a.N == b.N
}

// enumeratedP throws every combination of signs.
func enumeratedP(differences []float64) float64 {
	ranks, positive := signedRanks(differences)
	total := 0
	for _, r := range ranks {
		total += r
	}
	distance := func(sum int) int { return max(2*sum-total, total-2*sum) }
	as := 0
	for signs := range 1 << len(ranks) {
		sum := 0
		for i, r := range ranks {
			if signs>>i&1 == 1 {
				sum += r
			}
		}
		if distance(sum) >= distance(positive) {
			as++
		}
	}
	return float64(as) / float64(int(1)<<len(ranks))
}

func TestSignedRankPEnumerated(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		d := make([]float64, rng.IntN(13))
		for i := range d {
			d[i] = float64(rng.IntN(9) - 3) // few values: many ties and zeros
			if rng.IntN(3) == 0 {
				d[i] = rng.NormFloat64() + 0.5
			}
		}
		if got, want := signedRankP(d), enumeratedP(d); math.Abs(got-want) > 1e-12 {
			t.Fatalf("signedRankP(%v) = %g, want %g", d, got, want)
		}
	}
}

// TestSignedRankPPublished uses the worked examples and tables of the literature.
func TestSignedRankPPublished(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    []float64
		want float64
	}{
		{"no pair", nil, 1},
		{"all zero", []float64{0, 0, 0}, 1},
		{"five of one sign cannot reach 0.05", []float64{1, 2, 3, 4, 5}, 2. / 32},
		{"six of one sign", []float64{1, 2, 3, 4, 5, 6}, 2. / 64},
		{"seven of one sign", []float64{-1, -2, -3, -4, -5, -6, -7}, 2. / 128},
		{"one against, n = 8", []float64{-1, 2, 3, 4, 5, 6, 7, 8}, 4. / 256},
		// Darwin's maize, cross- against self-fertilised (Fisher, The Design of Experiments, chapter 3): V = 96.
		{"maize", []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}, 0.04125977},
		{"Pratt: a zero takes rank 1", []float64{0, 2, 3, 4, 5, 6, 7}, 2. / 64},
	} {
		if got := signedRankP(tt.d); math.Abs(got-tt.want) > 5e-9 {
			t.Errorf("%s: signedRankP(%v) = %g, want %g", tt.name, tt.d, got, tt.want)
		}
	}
}

// TestWalshRank checks the critical values of the signed-rank test, two-sided 5 % (Wilcoxon's own table, as in every
// textbook): the largest T that is significant; the interval's rank is one more.
func TestWalshRank(t *testing.T) {
	critical := map[int]int{6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 11: 10, 12: 13, 13: 17, 14: 21, 15: 25, 16: 29, 17: 34, 18: 40,
		19: 46, 20: 52, 21: 58, 22: 65, 23: 73, 24: 81, 25: 89}
	for n := range 6 {
		if got := walshRank(n); got != 0 {
			t.Errorf("walshRank(%d) = %d, want 0", n, got)
		}
	}
	for n, c := range critical {
		if got := walshRank(n); got != c+1 {
			t.Errorf("walshRank(%d) = %d, want %d", n, got, c+1)
		}
	}
}

// TestShiftOfInverts holds the interval against the test it belongs to: a shift inside is not rejected, one just outside
// is.
func TestShiftOfInverts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		d := make([]float64, 6+rng.IntN(9))
		for i := range d {
			d[i] = rng.NormFloat64()
		}
		e := shiftOf(d)
		rejected := func(shift float64) bool {
			moved := make([]float64, len(d))
			for i := range d {
				moved[i] = d[i] - shift
			}
			return signedRankP(moved) <= 1-confidence
		}
		const little = 1e-9
		if rejected(e.Low+little) || rejected(e.High-little) || !rejected(e.Low-little) || !rejected(e.High+little) {
			t.Fatalf("shiftOf(%v) = %v does not invert the test", d, e)
		}
		if e.Median < e.Low || e.Median > e.High {
			t.Fatalf("shiftOf(%v) = %v, the estimate is outside its interval", d, e)
		}
	}
}

func TestShiftOf(t *testing.T) {
	nan := math.NaN()
	for _, tt := range []struct {
		d    []float64
		want estimate
	}{
		{nil, estimate{nan, nan, nan, 0}},
		{[]float64{3}, estimate{3, nan, nan, 1}},
		{[]float64{1, 2, 4}, estimate{2.25, nan, nan, 3}}, // 1 1.5 2 2.5 3 4
		{[]float64{1, 2, 3, 4, 5, 6}, estimate{3.5, 1, 6, 6}},
	} {
		if got := shiftOf(tt.d); !sameEstimate(got, tt.want) {
			t.Errorf("shiftOf(%v) = %v, want %v", tt.d, got, tt.want)
		}
	}
}

func TestHolm(t *testing.T) {
	for _, tt := range []struct{ p, want []float64 }{
		{nil, []float64{}},
		{[]float64{0.03}, []float64{0.03}},
		{[]float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}}, // the textbook's example
		{[]float64{0.5, 0.9}, []float64{1, 1}},
		{[]float64{0.02, 0.02, 0.02}, []float64{0.06, 0.06, 0.06}},
	} {
		got := holm(tt.p)
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }
		if !slices.EqualFunc(got, tt.want, near) {
			t.Errorf("holm(%v) = %v, want %v", tt.p, got, tt.want)
		}
	}
}

// TestHolmSequential holds the corrected values against Holm's own step-down procedure.
func TestHolmSequential(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		p := make([]float64, 1+rng.IntN(7))
		for i := range p {
			p[i] = rng.Float64() * 0.1
		}
		rejected := make([]bool, len(p))
		for step := range p { // reject the smallest left while it is below alpha / (number left)
			least := -1
			for i := range p {
				if !rejected[i] && (least < 0 || p[i] < p[least]) {
					least = i
				}
			}
			if p[least] >= alpha/float64(len(p)-step) {
				break
			}
			rejected[least] = true
		}
		got := make([]bool, len(p))
		for i, c := range holm(p) {
			got[i] = c < alpha
		}
		if diff := cmp.Diff(rejected, got); diff != "" {
			t.Fatalf("holm(%v) rejects otherwise than the procedure (-want +got):\n%s", p, diff)
		}
	}
}

func TestPairsNeeded(t *testing.T) {
	for comparisons, want := range map[int]int{0: 6, 1: 6, 2: 7, 3: 7, 4: 8, 6: 8, 7: 9} {
		if got := pairsNeeded(comparisons); got != want {
			t.Errorf("pairsNeeded(%d) = %d, want %d", comparisons, got, want)
		}
	}
}
