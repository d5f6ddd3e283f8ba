// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func numbers(seed uint64, n int) []float64 {
	r := rand.New(rand.NewPCG(seed, seed))
	out := make([]float64, n)
	for i := range out {
		out[i] = r.NormFloat64() * math.Exp(r.Float64()*10)
	}
	return out
}

func sampled(values []float64) *Sample {
	s := new(Sample)
	for _, v := range values {
		s.Add(v)
	}
	return s
}

func TestSampleIsExactWhileSmall(t *testing.T) {
	values := numbers(1, ExactLimit-1)
	s := sampled(values)
	slices.Sort(values)
	if got := s.Method(); got != MethodExact {
		t.Errorf("Method() = %q, want %q", got, MethodExact)
	}
	for _, q := range quantiles {
		if got, want := s.Quantile(q), values[nearestRank(q, ExactLimit-1)-1]; got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	s.Add(values[0] - 1)
	if got, want := s.Quantile(0), values[0]-1; got != want {
		t.Errorf("Quantile(0) after a new smallest value = %v, want %v", got, want)
	}
}

func TestSampleBecomesAHistogram(t *testing.T) {
	values := numbers(2, ExactLimit+500)
	s := sampled(values)
	slices.Sort(values)
	if got := s.Method(); got != MethodExp {
		t.Errorf("Method() = %q, want %q", got, MethodExp)
	}
	if got, want := s.Count(), int64(len(values)); got != want {
		t.Errorf("Count() = %d, want %d", got, want)
	}
	for _, q := range quantiles {
		want := values[nearestRank(q, int64(len(values)))-1]
		if got := s.Quantile(q); math.Abs(got-want) > 0.011*math.Abs(want) {
			t.Errorf("Quantile(%v) = %v, want %v within 1.1 %%", q, got, want)
		}
	}
	if got, want := s.Min(), values[0]; got != want {
		t.Errorf("Min() = %v, want %v", got, want)
	}
	if got, want := s.Max(), values[len(values)-1]; got != want {
		t.Errorf("Max() = %v, want %v", got, want)
	}
}

func TestSampleMerge(t *testing.T) {
	for _, sizes := range [][2]int{{10, 20}, {ExactLimit, 1}, {1, ExactLimit}, {ExactLimit + 1, 5}, {5, ExactLimit + 1}, {0, 0}} {
		a, b := numbers(3, sizes[0]), numbers(4, sizes[1])
		got, want := sampled(a), sampled(slices.Concat(a, b))
		got.Merge(sampled(b))
		if got.Method() != want.Method() {
			t.Errorf("%v: Method() = %q, want %q", sizes, got.Method(), want.Method())
		}
		g, w := got.Histogram().Wire(), want.Histogram().Wire()
		if math.Abs(g.Sum-w.Sum) > 1e-9*math.Abs(w.Sum) {
			t.Errorf("%v: Sum = %v, want %v", sizes, g.Sum, w.Sum)
		}
		g.Sum = w.Sum
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%v: merged sample differs (-want +got):\n%s", sizes, diff)
		}
	}
}

func TestSampleMergeHistogram(t *testing.T) {
	s := sampled([]float64{1, 2, 3})
	s.MergeHistogram(filled([]int64{10, 20}))
	if got := s.Method(); got != MethodExp {
		t.Errorf("Method() = %q, want %q", got, MethodExp)
	}
	if got, want := s.Count(), int64(5); got != want {
		t.Errorf("Count() = %d, want %d", got, want)
	}
	if got, want := s.Sum(), 36.0; got != want {
		t.Errorf("Sum() = %v, want %v", got, want)
	}
}

func TestSampleLeavesOutWhatIsNotANumber(t *testing.T) {
	s := new(Sample)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if s.Add(v) {
			t.Errorf("Add(%v) = true, want false", v)
		}
	}
	for name, got := range map[string]float64{"Min": s.Min(), "Max": s.Max(), "Quantile": s.Quantile(0.5)} {
		if !math.IsNaN(got) {
			t.Errorf("%s of nothing = %v, want NaN", name, got)
		}
	}
	if got := s.Count(); got != 0 {
		t.Errorf("Count() = %d, want 0", got)
	}
}
