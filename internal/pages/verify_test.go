// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"math/rand/v2"
	"testing"
)

func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	const first, n = 12_345, 40
	r := rand.New(rand.NewPCG(1, 1))
	for _, name := range Names() {
		g := generator(t, name, 2)
		memory := filled(g, first, n)
		if page, offset, ok := g.Verify(memory, first); !ok {
			t.Fatalf("%s: Verify finds page %d, offset %d in untouched memory", name, page, offset)
		}
		offsets := []int{0, 1, 7, 8, 9, PageSize - 9, PageSize - 8, PageSize - 1, n*PageSize - 1}
		for range 300 {
			offsets = append(offsets, r.IntN(len(memory)))
		}
		for i := range n { // In and around the stamp of every page.
			h := g.hash(first + int64(i))
			if s, ok := g.sources[g.slot(h)].(*template); ok {
				_, at := s.find(h)
				for d := -1; d <= 17; d++ {
					offsets = append(offsets, min(i*PageSize+max(at+d, 0), len(memory)-1))
				}
			}
		}
		for _, at := range offsets {
			bit := byte(1) << r.IntN(8)
			memory[at] ^= bit
			if later := r.IntN(len(memory)); later > at { // A second wrong byte must not hide the first.
				memory[later] ^= 0x80
				checkFound(t, g, memory, first, at)
				memory[later] ^= 0x80
			}
			checkFound(t, g, memory, first, at)
			memory[at] ^= bit
		}
	}
}

func checkFound(t *testing.T, g *Generator, memory []byte, first int64, at int) {
	t.Helper()
	page, offset, ok := g.Verify(memory, first)
	if ok || page != first+int64(at/PageSize) || offset != at%PageSize {
		t.Errorf("Verify = %d, %d, %v with byte %d wrong, want page %d, offset %d, false",
			page, offset, ok, at, first+int64(at/PageSize), at%PageSize)
	}
}

func TestVerifyFindsForeignPages(t *testing.T) {
	for _, name := range Names()[1:] {
		g := generator(t, name, 2)
		memory := filled(g, 0, 8)
		copy(memory[3*PageSize:], memory[5*PageSize:6*PageSize])
		if page, _, ok := g.Verify(memory, 0); ok || page != 3 {
			t.Errorf("%s: Verify = page %d, %v with page 5 in place of page 3, want page 3, false", name, page, ok)
		}
		if _, _, ok := g.Verify(memory[:2*PageSize], 1); ok {
			t.Errorf("%s: Verify accepts pages 0 and 1 as pages 1 and 2", name)
		}
		if page, _, ok := g.Verify(make([]byte, PageSize), 0); ok || page != 0 {
			t.Errorf("%s: Verify = page %d, %v of a lost page, want page 0, false", name, page, ok)
		}
	}
}

func FuzzVerify(f *testing.F) {
	g := generator(f, "mixed", 1)
	f.Add(int64(0), uint16(0), byte(1))
	f.Fuzz(func(t *testing.T, index int64, at uint16, flip byte) {
		page := filled(g, index, 1)
		page[at%PageSize] ^= flip
		_, offset, ok := g.Verify(page, index)
		if ok != (flip == 0) || !ok && offset != int(at%PageSize) {
			t.Errorf("Verify = %d, %v with byte %d changed by %#x", offset, ok, at%PageSize, flip)
		}
	})
}
