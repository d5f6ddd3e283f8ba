// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func generator(tb testing.TB, pattern string, seed uint64) *Generator {
	tb.Helper()
	p, err := Parse(pattern)
	if err != nil {
		tb.Fatalf("Parse(%q) = %v, want no error", pattern, err)
	}
	return New(p, seed)
}

func filled(g *Generator, first int64, n int) []byte {
	b := make([]byte, n*PageSize)
	g.Fill(b, first)
	return b
}

// TestContentNeverChanges holds the meaning of a seed: results of different versions are compared.
func TestContentNeverChanges(t *testing.T) {
	want := map[string]uint64{
		"zeros":      11273455365879112485,
		"same":       8797613401844001573,
		"sequential": 16569686932947210021,
		"random":     6750222582619386719,
		"text":       4675401205291141480,
		"pointers":   12381159267412239990,
		"mixed":      10978116635512659998,
	}
	got := map[string]uint64{}
	for _, name := range Names() {
		h := fnv.New64a()
		h.Write(filled(generator(t, name, 1), 1_000_000, 64))
		got[name] = h.Sum64()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content of 64 pages changed (-want +got):\n%s", diff)
	}
}

func TestPageDependsOnSeedAndIndexOnly(t *testing.T) {
	for _, name := range Names() {
		g := generator(t, name, 7)
		all := filled(g, 100, 50)
		for i := range 50 {
			if got := filled(g, 100+int64(i), 1); !bytes.Equal(got, all[i*PageSize:][:PageSize]) {
				t.Errorf("%s: page %d alone differs from page %d among others", name, 100+i, 100+i)
			}
		}
		if !bytes.Equal(all, filled(generator(t, name, 7), 100, 50)) {
			t.Errorf("%s: a second generator makes other pages", name)
		}
		if other := filled(generator(t, name, 8), 100, 50); name != "zeros" && name != "sequential" && bytes.Equal(all, other) {
			t.Errorf("%s: another seed makes the same pages", name)
		}
	}
}

func TestEveryPageIsUnique(t *testing.T) {
	const n = 50_000
	seed := maphash.MakeSeed()
	for _, name := range Names()[1:] {
		g, seen, page := generator(t, name, 3), make(map[uint64]bool, n), make([]byte, PageSize)
		for i := range int64(n) {
			g.Fill(page, i)
			seen[maphash.Bytes(seed, page)] = true
		}
		if got := len(seen); got != n {
			t.Errorf("%s: %d of %d pages are unique", name, got, n)
		}
	}
}

func TestStampsAreBijections(t *testing.T) {
	seen := map[uint64]bool{}
	for i := range int64(1 << 20) {
		w, _, _ := stampPointer.words(i<<16|i>>4, 0)
		if w>>40 != 0x7f || w%16 != 0 {
			t.Fatalf("stamp of page %d = %#x, want an aligned pointer to 0x7f...", i, w)
		}
		seen[w] = true
	}
	if got, want := len(seen), 1<<20; got != want {
		t.Errorf("%d of %d pointer stamps are unique", got, want)
	}
	for _, h := range []uint64{0, 0x0123456789abcdef, 0xfedcba9876543210, math.MaxUint64} {
		first, second, _ := stampHex.words(0, h)
		b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, first), second)
		var want []byte
		for i := range 16 {
			want = append(want, "0123456789abcdef"[h>>(60-4*i)&15])
		}
		if !bytes.Equal(b, want) {
			t.Errorf("hexadecimal stamp of %#x = %q, want %q", h, b, want)
		}
	}
}

func TestHistogram(t *testing.T) {
	const n = 200_000
	for _, name := range Names() {
		p, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		g := New(p, 5)
		count := map[Class]int64{}
		for i := range int64(n) {
			count[g.Class(i)]++
		}
		total := 0
		for _, s := range p.Shares() {
			total += s.Weight
		}
		got := g.Histogram(n)
		if len(got) != len(p.Shares()) {
			t.Errorf("%s: Histogram has %d classes, want %d", name, len(got), len(p.Shares()))
		}
		for i, c := range got {
			if c.Class != p.Shares()[i].Class || c.Pages != count[c.Class] {
				t.Errorf("%s: Histogram counts %d of class %s, want %d of %s", name, c.Pages, c.Class, count[c.Class], p.Shares()[i].Class)
			}
			want := n * float64(p.Shares()[i].Weight) / float64(total)
			if math.Abs(float64(c.Pages)-want) > 6*math.Sqrt(want) {
				t.Errorf("%s: %d pages of class %s, want about %v", name, c.Pages, c.Class, want)
			}
		}
	}
	if got := generator(t, "text", 1).Histogram(-1)[0].Pages; got != 0 {
		t.Errorf("Histogram(-1) counts %d pages, want 0", got)
	}
}

func TestClassesAreShuffled(t *testing.T) {
	g := generator(t, "mixed", 9)
	same := 0
	const n = 100_000
	for i := range int64(n) {
		if g.Class(i) == g.Class(i+1) {
			same++
		}
	}
	// Independent neighbours are equal with the sum of the squared weights.
	want := n * (0.4*0.4 + 0.3*0.3 + 0.15*0.15 + 0.1*0.1 + 0.05*0.05)
	if math.Abs(float64(same)-want) > 6*math.Sqrt(want) {
		t.Errorf("%d neighbours are of one class, want about %v", same, want)
	}
}

func TestFillFresh(t *testing.T) {
	for _, name := range Names() {
		g := generator(t, name, 4)
		fresh := make([]byte, 20*PageSize)
		g.FillFresh(fresh, 77)
		if !bytes.Equal(fresh, filled(g, 77, 20)) {
			t.Errorf("%s: FillFresh and Fill differ on fresh memory", name)
		}
	}
	dirty := bytes.Repeat([]byte{1}, PageSize)
	g := generator(t, "zeros", 4)
	if g.FillFresh(dirty, 0); dirty[0] != 1 {
		t.Error("FillFresh touched a zero page")
	}
	if g.Fill(dirty, 0); dirty[0] != 0 || dirty[PageSize-1] != 0 {
		t.Error("Fill left a byte of a zero page")
	}
}

func TestConcurrentUse(t *testing.T) {
	g := generator(t, "mixed", 6)
	memory := make([]byte, 256*PageSize)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			part := memory[w*64*PageSize:][:64*PageSize]
			g.Fill(part, int64(w*64))
			if page, offset, ok := g.Verify(part, int64(w*64)); !ok {
				t.Errorf("worker %d: page %d is wrong at offset %d", w, page, offset)
			}
		})
	}
	wg.Wait()
	if page, offset, ok := g.Verify(memory, 0); !ok {
		t.Errorf("page %d is wrong at offset %d", page, offset)
	}
}

func TestPartOfAPagePanics(t *testing.T) {
	g := generator(t, "text", 1)
	for name, f := range map[string]func([]byte){
		"Fill":      func(b []byte) { g.Fill(b, 0) },
		"FillFresh": func(b []byte) { g.FillFresh(b, 0) },
		"Verify":    func(b []byte) { g.Verify(b, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s with %d bytes did not panic", name, PageSize+1)
				}
			}()
			f(make([]byte, PageSize+1))
		}()
	}
}

func TestFillDoesNotAllocate(t *testing.T) {
	g, page := generator(t, "mixed", 1), make([]byte, PageSize)
	i := int64(0)
	if got := testing.AllocsPerRun(1000, func() {
		g.Fill(page, i)
		if _, _, ok := g.Verify(page, i); !ok {
			t.Fatalf("page %d is wrong", i)
		}
		i++
	}); got != 0 {
		t.Errorf("Fill and Verify allocate %v times a page, want 0", got)
	}
}

func TestTemplates(t *testing.T) {
	for name, want := range map[string]int{"zeros": 0, "same": 0, "sequential": 0, "text": 1, "mixed": 3} {
		if got := len(generator(t, name, 1).Templates()); got != want*poolSize {
			t.Errorf("%s: Templates() has %d bytes, want %d", name, got, want*poolSize)
		}
	}
}

func TestParse(t *testing.T) {
	for _, name := range Names() {
		p, err := Parse(name)
		if err != nil || p.String() != name {
			t.Errorf("Parse(%q) = %v, %v, want the pattern of that name", name, p, err)
		}
	}
	for _, name := range []string{"", "Mixed", "ramdom", "text ", "text,random"} {
		_, err := Parse(name)
		if err == nil || !strings.Contains(err.Error(), "zeros, same, sequential, random, text, pointers, mixed") {
			t.Errorf("Parse(%q) = %v, want an error which lists the patterns", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, err := Parse(name)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || !slices.Equal(again.Shares(), p.Shares()) {
			t.Errorf("Parse(%q) = %v, %v, want what %q gave", p, again, err, name)
		}
		g, page := New(p, 1), make([]byte, PageSize)
		g.Fill(page, 0)
		if _, _, ok := g.Verify(page, 0); !ok {
			t.Errorf("pattern %q does not verify", name)
		}
	})
}
