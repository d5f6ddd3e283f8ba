// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(tb testing.TB, name string) *Codec {
	tb.Helper()
	c, err := New(name)
	if err != nil {
		tb.Fatalf("New(%q) = %v, want no error", name, err)
	}
	return c
}

// samplePages holds one page of each kind that a codec treats differently.
func samplePages() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	pages := map[string][]byte{}
	page := func(name string) []byte {
		pages[name] = make([]byte, PageSize)
		return pages[name]
	}
	page("zeros")
	copy(page("one"), "x")
	random := page("random")
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	copy(page("half random"), random[:PageSize/2])
	letters := page("letters")
	for i := range letters {
		letters[i] = "etaoin shrdlu"[r.IntN(13)]
	}
	words := page("words")
	for i := 0; i < PageSize; i += 8 {
		binary.LittleEndian.PutUint64(words[i:], 0x7f0000000000+uint64(r.IntN(1<<20))*16)
	}
	copy(page("repeated"), bytes.Repeat([]byte("memory "), 600))
	return pages
}

func TestRoundTrip(t *testing.T) {
	for _, name := range Names() {
		c := must(t, name)
		back := make([]byte, PageSize)
		for kind, page := range samplePages() {
			before := bytes.Clone(page)
			stored := c.Append([]byte("kept"), page)
			if string(stored[:4]) != "kept" {
				t.Errorf("%s: Append(%s) changed what dst held", name, kind)
			}
			stored = stored[4:]
			if len(stored) == 0 || len(stored) > PageSize {
				t.Errorf("%s: Append(%s) stores %d bytes, want 1..%d", name, kind, len(stored), PageSize)
			}
			if err := c.Decompress(back, stored); err != nil {
				t.Errorf("%s: Decompress(%s) = %v, want no error", name, kind, err)
			}
			if !bytes.Equal(back, before) || !bytes.Equal(page, before) {
				t.Errorf("%s: %s came back changed", name, kind)
			}
		}
	}
}

func TestIncompressibleIsStoredRaw(t *testing.T) {
	random := samplePages()["random"]
	for _, name := range Names() {
		if got := must(t, name).Append(nil, random); !bytes.Equal(got, random) {
			t.Errorf("%s: a random page is stored in %d bytes, want the page itself", name, len(got))
		}
	}
}

func TestCompressibleGetsSmaller(t *testing.T) {
	pages := samplePages()
	for _, name := range Names()[1:] {
		for _, kind := range []string{"zeros", "one", "half random", "repeated"} {
			if got := len(must(t, name).Append(nil, pages[kind])); got > 3*PageSize/4 {
				t.Errorf("%s: %s is stored in %d bytes, want less than %d", name, kind, got, 3*PageSize/4)
			}
		}
	}
}

// TestNamesAreDistinctEncoders guards the promise that no encoder goes by two names.
func TestNamesAreDistinctEncoders(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pages := make([]byte, 64*PageSize)
	for i := range pages { // Two letters, so that every position has many candidates to search.
		pages[i] = "aaab"[r.IntN(4)]
	}
	seen := map[string]string{}
	for _, name := range Names() {
		c := must(t, name)
		var all []byte
		for p := 0; p < len(pages); p += PageSize {
			all = c.Append(all, pages[p:p+PageSize])
		}
		if other, ok := seen[string(all)]; ok {
			t.Errorf("%s and %s are the same encoder", other, name)
		}
		seen[string(all)] = name
	}
}

func TestNew(t *testing.T) {
	for alias, want := range map[string]string{"zstd": "zstd-3", "lz4hc": "lz4hc-9", "lz4": "lz4"} {
		if got := must(t, alias).Name(); got != want {
			t.Errorf("New(%q).Name() = %q, want %q", alias, got, want)
		}
	}
	for _, name := range []string{"", "lzo", "zstd-2", "zstd-", "lz4-1", "lz4hc-10", "ZSTD", "zstd-03"} {
		if _, err := New(name); err == nil || !strings.Contains(err.Error(), "zstd-11") {
			t.Errorf("New(%q) = %v, want an error which lists the codecs", name, err)
		}
	}
	for _, name := range Default() {
		must(t, name)
	}
}

func TestDecompressRefusesDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, name := range Names() {
		c := must(t, name)
		page := make([]byte, PageSize)
		for _, bad := range [][]byte{nil, {0}, {0xff, 0xff}, bytes.Repeat([]byte{0xff}, 100), make([]byte, PageSize+1)} {
			if err := c.Decompress(page, bad); err == nil {
				t.Errorf("%s: Decompress(%d bytes of nonsense) = nil, want an error", name, len(bad))
			}
		}
		if name == "raw" {
			continue
		}
		stored := c.Append(nil, samplePages()["half random"])
		for n := range len(stored) {
			if err := c.Decompress(page, stored[:n]); err == nil {
				t.Errorf("%s: Decompress(first %d of %d bytes) = nil, want an error", name, n, len(stored))
			}
		}
		for range 2000 { // No checksum: a flipped bit may pass, but must not panic.
			damaged := bytes.Clone(stored)
			damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
			_ = c.Decompress(page, damaged)
		}
	}
}

func TestPageOfAnotherSizePanics(t *testing.T) {
	c := must(t, "lz4")
	for name, f := range map[string]func(){
		"Append":     func() { c.Append(nil, make([]byte, 100)) },
		"Decompress": func() { _ = c.Decompress(make([]byte, 100), make([]byte, 100)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s with 100 bytes did not panic", name)
				}
			}()
			f()
		}()
	}
}

func TestNoAllocationPerPage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random, and zstd decoding uses one")
	}
	pages := samplePages()
	for _, name := range Names() {
		c := must(t, name)
		stored, back := make([]byte, 0, Room), make([]byte, PageSize)
		for kind, page := range pages {
			if got := testing.AllocsPerRun(20, func() { stored = c.Append(stored[:0], page) }); got != 0 {
				t.Errorf("%s: Append(%s) allocates %v times, want 0", name, kind, got)
			}
			if got := testing.AllocsPerRun(20, func() {
				if err := c.Decompress(back, stored); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%s: Decompress(%s) allocates %v times, want 0", name, kind, got)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	pages := samplePages()
	stored, raw, err := must(t, "lz4").Sizes(append(bytes.Clone(pages["random"]), pages["zeros"]...))
	if err != nil || raw != 1 || stored <= PageSize || stored > PageSize+100 {
		t.Errorf("Sizes(random, zeros) = %d, %d, %v, want a little over %d, 1, nil", stored, raw, err, PageSize)
	}
	got, raw, err := must(t, "raw").Sizes(pages["zeros"])
	if diff := cmp.Diff([]any{int64(PageSize), 1, nil}, []any{got, raw, err}); diff != "" {
		t.Errorf("Sizes with raw (-want +got):\n%s", diff)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("abcabcabcabd"), uint16(77))
	f.Add([]byte{0, 0, 0, 1, 0xff}, uint16(4095))
	f.Add([]byte{}, uint16(0))
	var codecs []*Codec
	for _, name := range Names() {
		codecs = append(codecs, must(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		page, back := make([]byte, PageSize), make([]byte, PageSize)
		for i, v := range data { // Twice at a distance, and once more every eighth byte.
			page[i%PageSize] = v
			page[(i+int(at))%PageSize] = v
			page[(8*i+int(at)/2)%PageSize] ^= v
		}
		for _, c := range codecs {
			stored := c.Append(nil, page)
			if len(stored) > PageSize {
				t.Errorf("%s stores %d bytes, want at most %d", c.Name(), len(stored), PageSize)
			}
			if err := c.Decompress(back, stored); err != nil || !bytes.Equal(back, page) {
				t.Errorf("%s: page came back changed, error %v", c.Name(), err)
			}
		}
	})
}

func FuzzDecompress(f *testing.F) {
	var codecs []*Codec
	for _, name := range Names() {
		c := must(f, name)
		codecs = append(codecs, c)
		if name != "raw" { // Small seeds, or the fuzzer spends its time minimizing.
			f.Add(c.Append(nil, samplePages()["repeated"]))
		}
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		page := make([]byte, PageSize)
		for _, c := range codecs {
			_ = c.Decompress(page, stored) // An error or a page, never a panic or a write beyond the page.
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	page := samplePages()["words"]
	for _, name := range Names() {
		c := must(b, name)
		stored := make([]byte, 0, Room)
		b.Run(name+"/compress", func(b *testing.B) {
			b.SetBytes(PageSize)
			for b.Loop() {
				stored = c.Append(stored[:0], page)
			}
		})
		b.Run(name+"/decompress", func(b *testing.B) {
			b.SetBytes(PageSize)
			back := make([]byte, PageSize)
			for b.Loop() {
				if err := c.Decompress(back, stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
