// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"memline/internal/codec"
	"memline/internal/pages"
	"memline/internal/record"
	"memline/internal/record/recordtest"
	"memline/internal/undo"
)

// records runs the tool, holds what it writes against its schema, and returns its samples and results.
func records(t *testing.T, args ...string) (samples []sample, results []result) {
	t.Helper()
	t.Setenv(undo.DirEnv, t.TempDir()+"/state")
	var stdout, stderr, text bytes.Buffer
	if code := run(context.Background(), []string{"--schema"}, strings.NewReader(""), &text, &stderr); code != 0 {
		t.Fatalf("--schema: exit %d: %s", code, &stderr)
	}
	schema, err := recordtest.Schema(text.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if code := run(context.Background(), append([]string{"codecs"}, args...), strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("codecs %q: exit %d: %s", args, code, &stderr)
	}
	if err := recordtest.Check(schema, stdout.Bytes()); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(stdout.Bytes()) {
		var envelope struct{ Event string }
		var s sample
		var r result
		if err := json.Unmarshal(line, &envelope); err != nil {
			t.Fatal(err)
		}
		switch envelope.Event {
		case "sample":
			err = json.Unmarshal(line, &s)
			samples = append(samples, s)
		case "result":
			err = json.Unmarshal(line, &r)
			results = append(results, r)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
	return samples, results
}

// TestResultsAreTheSamples recomputes each result from the samples of its codec.
func TestResultsAreTheSamples(t *testing.T) {
	const passes, n = 3, 300 // more than a batch, and not a whole number of them
	samples, results := records(t, "--size", "1200K", "--passes", "3", "--codec", "lz4,zstd-1")
	if len(samples) != passes*3 || len(results) != 3 {
		t.Fatalf("%d samples and %d results, want %d and 3", len(samples), len(results), passes*3)
	}
	for i, s := range samples {
		if s.Order != i+1 {
			t.Errorf("sample %d has order %d", i+1, s.Order)
		}
	}
	var base figures
	for _, r := range results {
		if r.Codec == floor {
			base = r.figures
		}
	}
	for _, r := range results {
		sum := figures{Codec: r.Codec, StealNs: record.Known[int64](0)}
		for _, s := range samples {
			if s.Codec != r.Codec {
				continue
			}
			if s.Pages != n || s.VerifiedPages != n || s.OrigBytes != n*pages.PageSize {
				t.Errorf("%s: sample of %d pages, %d verified, %d bytes, want %d, %d, %d",
					s.Codec, s.Pages, s.VerifiedPages, s.OrigBytes, n, n, n*pages.PageSize)
			}
			if s.CompressCPUNs <= 0 || s.DecompressCPUNs <= 0 || s.SentinelBeforeNs <= 0 || s.SentinelAfterNs <= 0 {
				t.Errorf("%s: a time is not positive: %+v", s.Codec, s.figures)
			}
			sum.Pages += s.Pages
			sum.SamePages += s.SamePages
			sum.OrigBytes += s.OrigBytes
			sum.ComprBytes += s.ComprBytes
			sum.NonsameComprBytes += s.NonsameComprBytes
			sum.RawPages += s.RawPages
			sum.HugePages += s.HugePages
			sum.VerifiedPages += s.VerifiedPages
			sum.CompressCPUNs += s.CompressCPUNs
			sum.DecompressCPUNs += s.DecompressCPUNs
			sum.CompressWallNs += s.CompressWallNs
			sum.DecompressWallNs += s.DecompressWallNs
			sum.HeapAllocs += s.HeapAllocs
			sum.SentinelBeforeNs = max(sum.SentinelBeforeNs, s.SentinelBeforeNs)
			sum.SentinelAfterNs = max(sum.SentinelAfterNs, s.SentinelAfterNs)
			*sum.StealNs += *s.StealNs
			sum.ratios = s.ratios // the lengths are the same in every pass, and so are these
		}
		if diff := cmp.Diff(sum, r.figures, cmp.AllowUnexported(figures{})); diff != "" {
			t.Errorf("%s: result is not the sum of its samples (-want +got):\n%s", r.Codec, diff)
		}
		perPage := func(ns int64) float64 { return float64(ns) / float64(r.Pages) }
		for _, identity := range []struct {
			name string
			got  *float64
			want float64
		}{
			{"codec_ratio", r.CodecRatio, float64(r.OrigBytes) / float64(r.ComprBytes)},
			{"nonsame_codec_ratio", r.NonsameCodecRatio, float64(r.OrigBytes-4096*r.SamePages) / float64(r.NonsameComprBytes)},
			{"page_compress_cpu_ns", r.PageCompressCPUNs, perPage(r.CompressCPUNs)},
			{"page_decompress_cpu_ns", r.PageDecompressCPUNs, perPage(r.DecompressCPUNs)},
			{"page_compress_excess_cpu_ns", r.PageCompressExcessCPUNs, perPage(r.CompressCPUNs) - perPage(base.CompressCPUNs)},
			{"page_decompress_excess_cpu_ns", r.PageDecompressExcessCPUNs, perPage(r.DecompressCPUNs) - perPage(base.DecompressCPUNs)},
			{"page_heap_alloc_count", r.PageHeapAllocs, perPage(r.HeapAllocs)},
		} {
			if identity.got == nil || math.Abs(*identity.got-identity.want) > 1e-9*math.Abs(identity.want) {
				t.Errorf("%s %s = %v, want %v", r.Codec, identity.name, identity.got, identity.want)
			}
		}
	}
}

// TestSizesAreTheCodecs compresses the same pages a second time, without the tool.
func TestSizesAreTheCodecs(t *testing.T) {
	_, results := records(t, "--size", "200K", "--passes", "2", "--seed", "7", "--codec", strings.Join(codec.Names(), ","))
	pattern, err := pages.Parse("mixed")
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	data := make([]byte, n*pages.PageSize)
	generator := pages.New(pattern, 7)
	generator.Fill(data, 0)
	if len(results) != len(codec.Names()) {
		t.Fatalf("%d results, want %d", len(results), len(codec.Names()))
	}
	for _, r := range results {
		c, err := codec.New(r.Codec)
		if err != nil {
			t.Fatal(err)
		}
		want := figures{}
		var sizes []int
		for i := range n {
			size := len(c.Append(nil, data[i*pages.PageSize:][:pages.PageSize]))
			sizes = append(sizes, size)
			want.ComprBytes += int64(size)
			if bytes.Equal(data[i*pages.PageSize:][:pages.PageSize-8], data[i*pages.PageSize+8:][:pages.PageSize-8]) {
				want.SamePages++
			} else {
				want.NonsameComprBytes += int64(size)
			}
			if size >= 3625 {
				want.HugePages++
			}
			if size == 4096 {
				want.RawPages++
			}
		}
		got := figures{ComprBytes: r.ComprBytes / 2, SamePages: r.SamePages / 2, NonsameComprBytes: r.NonsameComprBytes / 2,
			HugePages: r.HugePages / 2, RawPages: r.RawPages / 2}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(figures{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Codec, diff)
		}
		slices.Sort(sizes)
		slices.Reverse(sizes) // the largest stored form is the smallest ratio
		for percent, got := range map[int]*float64{10: r.P10Ratio, 50: r.P50Ratio, 90: r.P90Ratio} {
			if want := 4096 / float64(sizes[(percent*n+99)/100-1]); got == nil || *got != want {
				t.Errorf("%s: p%d = %v, want %v", r.Codec, percent, got, want)
			}
		}
	}
}

// TestKnownTruth runs patterns whose outcome is known beforehand.
func TestKnownTruth(t *testing.T) {
	type band struct{ low, high float64 }
	for _, test := range []struct {
		pattern string
		ratios  map[string]band
		same    float64 // share of same-filled pages
		raw     float64 // share of raw pages, but for the copy
	}{
		{"zeros", map[string]band{"lz4": {100, 500}, "s2": {100, 500}, "zstd-3": {100, 500}}, 1, 0},
		{"same", map[string]band{"lz4": {100, 250}, "s2": {100, 250}, "zstd-3": {100, 250}}, 1, 0},
		{"random", map[string]band{"lz4": {1, 1}, "s2": {1, 1}, "zstd-3": {1, 1}}, 0, 1},
		// Three of eight bytes change from counter to counter at most; the others repeat.
		{"sequential", map[string]band{"lz4": {1.5, 4}, "s2": {1.5, 4}, "zstd-3": {3, 20}}, 0, 0},
	} {
		_, results := records(t, "--pattern", test.pattern, "--size", "256K", "--passes", "1", "--codec", "lz4,s2,zstd-3")
		for _, r := range results {
			want, ok := test.ratios[r.Codec]
			rawShare := test.raw
			if !ok { // the copy
				want, rawShare = band{1, 1}, 1
			}
			if *r.CodecRatio < want.low || *r.CodecRatio > want.high {
				t.Errorf("%s of %s: ratio %v, want %v to %v", r.Codec, test.pattern, *r.CodecRatio, want.low, want.high)
			}
			if got, want := float64(r.SamePages), test.same*float64(r.Pages); got != want {
				t.Errorf("%s of %s: %v same-filled pages, want %v", r.Codec, test.pattern, got, want)
			}
			if null := r.NonsameCodecRatio == nil; null != (test.same == 1) {
				t.Errorf("%s of %s: nonsame_codec_ratio is null: %t", r.Codec, test.pattern, null)
			}
			if got, want := float64(r.RawPages), rawShare*float64(r.Pages); got != want || float64(r.HugePages) != want {
				t.Errorf("%s of %s: %d raw and %d huge pages, want %v of each", r.Codec, test.pattern, r.RawPages, r.HugePages, want)
			}
		}
	}
}
