// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"
)

// maxError is half a bucket on the logarithmic scale, 2^(1/64), and a little for rounding.
const maxError = 1.0109

var quantiles = []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1}

// latencies returns n values as page faults show them: a body, a tail, and some zeros.
func latencies(seed uint64, n int) []int64 {
	r := rand.New(rand.NewPCG(seed, seed))
	out := make([]int64, n)
	for i := range out {
		switch r.IntN(20) {
		case 0:
			out[i] = r.Int64N(3)
		case 1:
			out[i] = int64(math.Exp(r.Float64() * 25))
		default:
			out[i] = int64(5000 * math.Exp(0.4*r.NormFloat64()))
		}
	}
	return out
}

func filled(values []int64) *Histogram {
	h := New()
	for _, v := range values {
		h.Record(v)
	}
	return h
}

func TestQuantileIsWithinTheBound(t *testing.T) {
	for seed := range uint64(20) {
		values := latencies(seed, int(1+seed*seed*40))
		h := filled(values)
		slices.Sort(values)
		for _, q := range quantiles {
			want := float64(values[nearestRank(q, int64(len(values)))-1])
			got := h.Quantile(q)
			if got > want*maxError || got*maxError < want {
				t.Errorf("seed %d: Quantile(%v) = %v, want %v within 1.1 %%", seed, q, got, want)
			}
		}
		if got, want := h.Count(), int64(len(values)); got != want {
			t.Errorf("Count() = %d, want %d", got, want)
		}
		if got, want := h.Min(), float64(values[0]); got != want {
			t.Errorf("Min() = %v, want %v", got, want)
		}
		if got, want := h.Max(), float64(values[len(values)-1]); got != want {
			t.Errorf("Max() = %v, want %v", got, want)
		}
	}
}

func TestQuantileAgreesWithHdrHistogram(t *testing.T) {
	values := latencies(7, 50_000)
	h := filled(values)
	oracle := hdrhistogram.New(1, math.MaxInt64/2, 4)
	for _, v := range values {
		if err := oracle.RecordValue(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []float64{0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999} {
		got, want := h.Quantile(q), float64(oracle.ValueAtQuantile(100*q))
		// The oracle answers with the upper end of a bucket of relative width 1e-4.
		if got > want*maxError*1.0002 || got*maxError*1.0002 < want {
			t.Errorf("Quantile(%v) = %v, want %v within 1.1 %%", q, got, want)
		}
	}
}

func TestQuantileOfAnySign(t *testing.T) {
	h := new(Histogram)
	for _, v := range []float64{-100, -1.5, 0, 0, 2.25, 1e9} {
		if !h.RecordFloat(v) {
			t.Fatalf("RecordFloat(%v) = false, want true", v)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if h.RecordFloat(v) {
			t.Errorf("RecordFloat(%v) = true, want false", v)
		}
	}
	for _, c := range []struct{ q, want float64 }{{0, -100}, {0.3, -1.5}, {0.5, 0}, {0.6, 0}, {0.8, 2.25}, {1, 1e9}} {
		if got := h.Quantile(c.q); math.Abs(got-c.want) > 0.011*math.Abs(c.want) {
			t.Errorf("Quantile(%v) = %v, want %v within 1.1 %%", c.q, got, c.want)
		}
	}
	if got, want := h.Sum(), 1e9-99.25; got != want {
		t.Errorf("Sum() = %v, want %v", got, want)
	}
	h.Record(math.MinInt64)
	if got, want := h.Min(), float64(math.MinInt64); got != want {
		t.Errorf("Min() = %v, want %v", got, want)
	}
}

func TestEmpty(t *testing.T) {
	h := New()
	h.Merge(new(Histogram))
	for name, got := range map[string]float64{"Min": h.Min(), "Max": h.Max(), "Quantile": h.Quantile(0.5)} {
		if !math.IsNaN(got) {
			t.Errorf("%s of nothing = %v, want NaN", name, got)
		}
	}
}

func TestNearestRank(t *testing.T) {
	for _, c := range []struct {
		q       float64
		n, want int64
	}{
		{0.07, 100, 7}, {0.5, 1, 1}, {0.5, 2, 1}, {0.5, 3, 2}, {0.99, 100, 99}, {0.999, 1000, 999},
		{0, 5, 1}, {-1, 5, 1}, {1, 5, 5}, {2, 5, 5}, {math.NaN(), 5, 1}, {0.99, 1 << 40, 1088516511499},
	} {
		if got := nearestRank(c.q, c.n); got != c.want {
			t.Errorf("nearestRank(%v, %d) = %d, want %d", c.q, c.n, got, c.want)
		}
	}
}

func TestMergeIsLikeRecordingTogether(t *testing.T) {
	for seed := range uint64(10) {
		a, b, c := latencies(seed, 300), latencies(seed+100, 5000), latencies(seed+200, 1)
		want := filled(slices.Concat(a, b, c)).Wire()
		left, right, turned := filled(a), filled(b), new(Histogram)
		left.Merge(filled(b))
		left.Merge(filled(c))
		right.Merge(filled(c))
		first := filled(a)
		first.Merge(right)
		for _, v := range [][]int64{c, b, a} {
			turned.Merge(filled(v))
		}
		for name, h := range map[string]*Histogram{"(a+b)+c": left, "a+(b+c)": first, "c+b+a": turned} {
			if diff := cmp.Diff(want, h.Wire()); diff != "" {
				t.Errorf("seed %d: %s differs from recording together (-want +got):\n%s", seed, name, diff)
			}
		}
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	h := New()
	v := int64(1)
	if got := testing.AllocsPerRun(1000, func() {
		h.Record(v)
		v = v*3&math.MaxInt64 + 1
	}); got != 0 {
		t.Errorf("Record allocates %v times, want 0", got)
	}
}

func BenchmarkRecord(b *testing.B) {
	values := latencies(1, 4096)
	h := New()
	for i := 0; b.Loop(); i++ {
		h.Record(values[i&4095])
	}
}
