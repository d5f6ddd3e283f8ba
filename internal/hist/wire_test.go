// SPDX-License-Identifier: Apache-2.0

package hist

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWireForm(t *testing.T) {
	h := filled([]int64{0, 1, 1, 1000})
	h.RecordFloat(-0.5)
	got, err := json.Marshal(h.Wire())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"scale":5,"count":5,"sum":1001.5,"min":-0.5,"max":1000,"zero_count":1,` +
		`"buckets":[[-1,2],[318,1]],"negative_buckets":[[-33,1]],"part":1,"parts":1}`
	if string(got) != want {
		t.Errorf("Wire() = %s, want %s", got, want)
	}
	got, err = json.Marshal(New().Wire())
	if err != nil {
		t.Fatal(err)
	}
	want = `{"scale":5,"count":0,"sum":0,"min":null,"max":null,"zero_count":0,"buckets":[],"negative_buckets":[],"part":1,"parts":1}`
	if string(got) != want {
		t.Errorf("Wire() of nothing = %s, want %s", got, want)
	}
}

func TestWireRoundTrip(t *testing.T) {
	for _, h := range []*Histogram{New(), filled([]int64{0}), filled([]int64{42}), filled(latencies(5, 20_000)), sampled(numbers(6, 3000)).Histogram()} {
		for _, size := range []int{-1, 1, 7, PartBuckets, 1 << 30} {
			parts := h.Parts(size)
			text, err := json.Marshal(parts)
			if err != nil {
				t.Fatal(err)
			}
			var read []Wire
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			slices.Reverse(read)
			got, err := FromWire(read...)
			if err != nil {
				t.Fatalf("FromWire(Parts(%d)) = %v, want no error", size, err)
			}
			if diff := cmp.Diff(h.Wire(), got.Wire()); diff != "" {
				t.Errorf("Parts(%d) does not come back (-want +got):\n%s", size, diff)
			}
		}
	}
}

func TestWirePartFitsARecord(t *testing.T) {
	h := new(Histogram)
	for i := range 200 {
		h.neg.add(highestIndex-i, 1<<53)
	}
	h.min, h.max, h.sum = -math.MaxFloat64, -math.SmallestNonzeroFloat64, -math.MaxFloat64
	h.count, h.zero = 1<<53, 1<<53
	for _, p := range h.Parts(PartBuckets) {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(text), 4096-1100; got > want {
			t.Errorf("a part of %d buckets has %d bytes, want at most %d", PartBuckets, got, want)
		}
	}
}

func TestFromWireRefuses(t *testing.T) {
	good := func() []Wire { return filled([]int64{0, 3, 70, 900, 900}).Parts(2) }
	if _, err := FromWire(good()...); err != nil {
		t.Fatalf("FromWire = %v, want no error", err)
	}
	if _, err := FromWire(); err == nil {
		t.Error("FromWire() = nil, want an error")
	}
	one, inf := 1.0, math.Inf(1)
	for _, c := range []struct {
		name, want string
		break_     func([]Wire) []Wire
	}{
		{"lost part", "every part once", func(w []Wire) []Wire { return w[1:] }},
		{"doubled part", "every part once", func(w []Wire) []Wire { return append(w, w[0]) }},
		{"other histogram", "another histogram", func(w []Wire) []Wire { w[1].Sum++; return w }},
		{"scale", "scale 6", func(w []Wire) []Wire { w[0].Scale = 6; return w }},
		{"negative count", "not possible", func(w []Wire) []Wire { w[0].Count = -1; return w }},
		{"zero count", "not possible", func(w []Wire) []Wire { w[0].ZeroCount = 6; return w }},
		{"lost values", "lack 1 of 6", func(w []Wire) []Wire { w[0].Count++; w[1].Count++; return w }},
		{"too many values", "are left", func(w []Wire) []Wire { w[0].Buckets[0][1] = 9; return w }},
		{"empty bucket", "are left", func(w []Wire) []Wire { w[0].Buckets[0][1] = 0; return w }},
		{"huge index", "does not exist", func(w []Wire) []Wire { w[0].Buckets[0][0] = math.MaxInt64; return w }},
		{"tiny index", "does not exist", func(w []Wire) []Wire { w[0].Buckets[0][0] = math.MinInt64; return w }},
		{"order", "out of order", func(w []Wire) []Wire { slices.Reverse(w[0].Buckets); return w }},
		{"order of parts", "out of order", func(w []Wire) []Wire { w[0].Buckets, w[1].Buckets = w[1].Buckets, w[0].Buckets; return w }},
		{"no min", "missing", func(w []Wire) []Wire { w[0].Min, w[1].Min = nil, nil; return w }},
		{"min elsewhere", "outermost", func(w []Wire) []Wire { w[0].Min, w[1].Min = &one, &one; return w }},
		{"infinite max", "finite", func(w []Wire) []Wire { w[0].Max, w[1].Max = &inf, &inf; return w }},
	} {
		_, err := FromWire(c.break_(good())...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("FromWire(%s) = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func FuzzFromWire(f *testing.F) {
	for _, h := range []*Histogram{New(), filled(latencies(1, 40)), sampled(numbers(1, 40)).Histogram()} {
		text, err := json.Marshal(h.Parts(10))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`[{"scale":5,"count":2,"sum":0,"min":-1,"max":1,"buckets":[[-1,1]],"negative_buckets":[[-1,1]],"part":1,"parts":1}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var parts []Wire
		if json.Unmarshal(text, &parts) != nil {
			return
		}
		h, err := FromWire(parts...)
		if err != nil {
			return
		}
		again, err := FromWire(h.Wire())
		if err != nil {
			t.Fatalf("FromWire refuses what it has read: %v", err)
		}
		if diff := cmp.Diff(h.Wire(), again.Wire()); diff != "" {
			t.Errorf("accepted histogram does not come back (-want +got):\n%s", diff)
		}
		for _, q := range quantiles {
			if v := h.Quantile(q); h.Count() > 0 && (v < h.Min() || v > h.Max()) {
				t.Errorf("Quantile(%v) = %v, want it within %v..%v", q, v, h.Min(), h.Max())
			}
		}
	})
}
