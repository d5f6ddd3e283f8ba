// SPDX-License-Identifier: Apache-2.0

// Package pages makes and verifies the content of memory, page by page, at the speed of a copy.
//
// A page of content is 4096 bytes, whatever the page size of the host. It is made from the seed and its
// index alone, so any worker can fill or verify any page without the others. Every page differs from
// every other, except those of class zeros.
//
// A hash of seed and index chooses the class of the page, by weight and shuffled, and one of 256
// templates of that class, which is copied. A stamp of 8 or 16 bytes, a bijection of the index, then makes
// the page unique without leaving the nature of its class. Templates repeat, so the content says nothing
// about a compressor that sees several pages at once.
//
//	zeros       all bytes zero
//	same        one non-zero 8-byte word, another in every page
//	sequential  8-byte little-endian counters that go on from page to page
//	random      incompressible bytes
//	text        English-like prose: Zipf-distributed words, topics, punctuation, names, numbers
//	pointers    a 64-bit heap: objects with pointers into a few arenas, vtables, lengths, small integers
//	mixed       text 40 %, pointers 30 %, random 15 %, sequential 10 %, same 5 %
//
// mixed separates codecs: text and pointers, which they treat differently, are most of it. It has no zero
// pages, because the swap layer of Linux keeps those itself since 6.12; they never reach zram or zswap
// and say nothing about a compressor.
//
// Original / stored of single pages, by the codecs of internal/codec:
//
//	ratio         lz4     s2  zstd-1  zstd-3
//	zeros      157.54  409.6  372.36  372.36
//	same       124.12 240.94  157.54  157.54
//	sequential   1.99   1.99    7.25    7.25
//	random       1.00   1.00    1.00    1.00
//	text         1.88   1.96    2.75    2.85
//	pointers     2.38   2.43    3.37    3.47
//	mixed        1.84   1.89    2.49    2.54
package pages

import (
	"fmt"
	"math/bits"
)

// PageSize is the size in bytes of a page of content, also on hosts with larger pages.
const PageSize = 4096

// Generator makes the pages of one pattern and seed. It does not change after [New], so any number of
// goroutines may use it at once.
type Generator struct {
	key     uint64
	sources []source
	classes []Class
	slots   []uint8 // one entry for each unit of weight: the number of a source
	pool    []byte  // the templates of all sources
}

// source makes the pages of one class. h is the hash of the page's index.
type source interface {
	fill(page *[PageSize]byte, index int64, h uint64)
	// check returns the offset of the first wrong byte, or -1.
	check(page *[PageSize]byte, index int64, h uint64) int
}

// New returns the generator of a pattern from [Parse]. It prepares the templates, about 1 MiB for each of
// text, pointers and random.
func New(pattern Pattern, seed uint64) *Generator {
	g := &Generator{key: mix(seed + golden)}
	templated := 0
	for _, s := range pattern.shares {
		if s.Class.templated() {
			templated++
		}
	}
	g.pool = make([]byte, templated*poolSize)
	free := g.pool
	for i, s := range pattern.shares {
		pool := free
		if s.Class.templated() {
			pool, free = free[:poolSize:poolSize], free[poolSize:]
		}
		g.sources = append(g.sources, newSource(s.Class, g.key, pool))
		g.classes = append(g.classes, s.Class)
		for range s.Weight {
			g.slots = append(g.slots, uint8(i))
		}
	}
	return g
}

// hash is a bijection of the index: no two pages of a generator have the same.
func (g *Generator) hash(index int64) uint64 {
	return mix(g.key + uint64(index)*golden)
}

// slot returns the number of the source that the hash chooses. The choice is even to 1 in 2^32.
func (g *Generator) slot(h uint64) uint8 {
	return g.slots[h>>32*uint64(len(g.slots))>>32]
}

// Fill writes the pages first, first+1, ... to dst, whose length must be a multiple of [PageSize].
func (g *Generator) Fill(dst []byte, first int64) {
	wholePages(dst)
	for ; len(dst) > 0; dst = dst[PageSize:] {
		h := g.hash(first)
		g.sources[g.slot(h)].fill((*[PageSize]byte)(dst), first, h)
		first++
	}
}

// FillFresh is [Generator.Fill] for memory that is known to be zero, such as a new anonymous mapping: it
// does not touch the pages of class zeros. Who wants those resident must populate the mapping.
func (g *Generator) FillFresh(dst []byte, first int64) {
	wholePages(dst)
	for ; len(dst) > 0; dst = dst[PageSize:] {
		h := g.hash(first)
		if i := g.slot(h); g.classes[i] != Zeros {
			g.sources[i].fill((*[PageSize]byte)(dst), first, h)
		}
		first++
	}
}

// Verify compares src with the pages first, first+1, ... and returns the index of the first wrong page and
// the offset of the first wrong byte in it, or ok. The length of src must be a multiple of [PageSize].
func (g *Generator) Verify(src []byte, first int64) (page int64, offset int, ok bool) {
	wholePages(src)
	for ; len(src) > 0; src = src[PageSize:] {
		h := g.hash(first)
		if at := g.sources[g.slot(h)].check((*[PageSize]byte)(src), first, h); at >= 0 {
			return first, at, false
		}
		first++
	}
	return 0, 0, true
}

// Class returns the class of a page.
func (g *Generator) Class(index int64) Class {
	return g.classes[g.slot(g.hash(index))]
}

// ClassPages is a number of pages of one class.
type ClassPages struct {
	Class Class
	Pages int64
}

// Histogram counts the classes of the pages 0 to n-1, in the order of the pattern.
func (g *Generator) Histogram(n int64) []ClassPages {
	counts := make([]ClassPages, len(g.classes))
	for i, c := range g.classes {
		counts[i].Class = c
	}
	if len(counts) == 1 {
		counts[0].Pages = max(n, 0)
		return counts
	}
	for i := range n {
		counts[g.slot(g.hash(i))].Pages++
	}
	return counts
}

// Templates returns the pool that pages are copied from, for measuring the floor of a plain copy. It is
// empty when no class of the pattern has templates. It must not be changed.
func (g *Generator) Templates() []byte { return g.pool }

func wholePages(b []byte) {
	if len(b)%PageSize != 0 {
		panic(fmt.Sprintf("pages: %d bytes are not whole pages", len(b)))
	}
}

// golden is 2^64 divided by the golden ratio, the increment of splitmix64.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014), a bijection.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rng is splitmix64. Templates come from it and not from a library, so that a seed means the same pages
// with every version of Go and on every processor.
type rng uint64

func (r *rng) next() uint64 {
	*r += golden
	return mix(uint64(*r))
}

// below returns a number from 0 to n-1.
func (r *rng) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// between returns a number from low to high.
func (r *rng) between(low, high int) int { return low + r.below(high-low+1) }

// percent reports true p times in a hundred.
func (r *rng) percent(p int) bool { return r.below(100) < p }
