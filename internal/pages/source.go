// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	wordSize      = 8
	wordsPerPage  = PageSize / wordSize
	templateCount = 256
	poolSize      = templateCount * PageSize
)

// newSource returns the source of a class. It writes its templates, if any, to pool.
func newSource(c Class, key uint64, pool []byte) source {
	switch c {
	case Zeros:
		return zeros{}
	case Same:
		return same{}
	case Sequential:
		return sequential{}
	}
	t := &template{pool: pool}
	switch c {
	case Random:
		t.stamp = stampBytes
		r := rng(mix(key + 1))
		for i := 0; i < len(pool); i += wordSize {
			binary.LittleEndian.PutUint64(pool[i:], r.next())
		}
	case Text:
		t.stamp = stampHex
		w := newWriter(rng(mix(key + 2)))
		for i := range t.at {
			t.at[i] = w.page(pool[i*PageSize:][:PageSize])
		}
	case Pointers:
		t.stamp = stampPointer
		h := newHeap(rng(mix(key + 3)))
		for i := range t.at {
			t.at[i] = h.page(pool[i*PageSize:][:PageSize])
		}
	default:
		panic("pages: no source for class " + string(c))
	}
	return t
}

// zeros is the class [Zeros].
type zeros struct{}

func (zeros) fill(page *[PageSize]byte, _ int64, _ uint64) { clear(page[:]) }

func (zeros) check(page *[PageSize]byte, _ int64, _ uint64) int { return repeats(page, 0) }

// same is the class [Same]. The word is the hash, so that it differs from page to page.
type same struct{}

func (same) word(h uint64) uint64 {
	if h == 0 {
		return golden // A zero page would be of another class.
	}
	return h
}

func (s same) fill(page *[PageSize]byte, _ int64, h uint64) {
	w := s.word(h)
	for i := 0; i < PageSize; i += 4 * wordSize {
		part := page[i : i+4*wordSize : i+4*wordSize]
		binary.LittleEndian.PutUint64(part[0:], w)
		binary.LittleEndian.PutUint64(part[8:], w)
		binary.LittleEndian.PutUint64(part[16:], w)
		binary.LittleEndian.PutUint64(part[24:], w)
	}
}

func (s same) check(page *[PageSize]byte, _ int64, h uint64) int { return repeats(page, s.word(h)) }

// repeats returns the offset of the first byte at which page is not word over and over, or -1. Comparing
// the page with itself, shifted by a word, leaves the work to the fast comparison of memory.
func repeats(page *[PageSize]byte, word uint64) int {
	if at := firstDifference(page[:wordSize], word); at >= 0 {
		return at
	}
	if bytes.Equal(page[wordSize:], page[:PageSize-wordSize]) {
		return -1
	}
	i := wordSize
	for page[i] == page[i-wordSize] {
		i++
	}
	return i
}

// firstDifference returns the first of 8 bytes that is not as in word, or -1.
func firstDifference(b []byte, word uint64) int {
	if binary.LittleEndian.Uint64(b) == word {
		return -1
	}
	i := 0
	for b[i] == byte(word>>(8*i)) {
		i++
	}
	return i
}

// sequential is the class [Sequential]. Page i holds the counters from 512*i.
type sequential struct{}

func (sequential) fill(page *[PageSize]byte, index int64, _ uint64) {
	n := uint64(index) * wordsPerPage
	for i := 0; i < PageSize; i += 4 * wordSize {
		part := page[i : i+4*wordSize : i+4*wordSize]
		binary.LittleEndian.PutUint64(part[0:], n)
		binary.LittleEndian.PutUint64(part[8:], n+1)
		binary.LittleEndian.PutUint64(part[16:], n+2)
		binary.LittleEndian.PutUint64(part[24:], n+3)
		n += 4
	}
}

func (sequential) check(page *[PageSize]byte, index int64, _ uint64) int {
	n := uint64(index) * wordsPerPage
	for i := 0; i < PageSize; i += 4 * wordSize {
		part := page[i : i+4*wordSize : i+4*wordSize]
		wrong := binary.LittleEndian.Uint64(part[0:]) ^ n
		wrong |= binary.LittleEndian.Uint64(part[8:]) ^ (n + 1)
		wrong |= binary.LittleEndian.Uint64(part[16:]) ^ (n + 2)
		wrong |= binary.LittleEndian.Uint64(part[24:]) ^ (n + 3)
		if wrong != 0 {
			for at := firstDifference(part, n); ; at = firstDifference(part, n) {
				if at >= 0 {
					return i + at
				}
				part = part[wordSize:]
				i += wordSize
				n++
			}
		}
		n += 4
	}
	return -1
}

// template is a class whose pages are copied from a pool and stamped.
type template struct {
	pool  []byte
	at    [templateCount]uint16 // where each template is stamped
	stamp stamp
}

// stamp is how a class writes the index of a page into it.
type stamp uint8

const (
	stampBytes   stamp = iota // 8 bytes without order
	stampHex                  // 16 lower-case hexadecimal digits
	stampPointer              // an aligned pointer into the mappings of a process, unique below 2^36 pages
)

// words returns the stamp of a page, as one or two words.
func (s stamp) words(index int64, h uint64) (first, second uint64, two bool) {
	switch s {
	case stampHex:
		return hexDigits(uint32(h >> 32)), hexDigits(uint32(h)), true
	case stampPointer:
		// Odd factors and shifted exclusive-or are bijections of 36 bits.
		const mask = 1<<36 - 1
		x := uint64(index) * golden & mask
		x = (x ^ x>>18) * 0x94d049bb133111eb & mask
		return 0x7f<<40 | (x^x>>18)<<4, 0, false
	}
	return h, 0, false
}

// hexDigits returns the 8 digits of x as ASCII, in the order in which a little-endian store writes them.
func hexDigits(x uint32) uint64 {
	v := uint64(x) // Spread the digits over 8 bytes, then put the first one first.
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = bits.ReverseBytes64(v)
	letters := (v + 0x0606060606060606) >> 4 & 0x0101010101010101
	return v + 0x3030303030303030 + letters*('a'-'9'-1)
}

func (t *template) find(h uint64) (page *[PageSize]byte, at int) {
	i := h % templateCount
	return (*[PageSize]byte)(t.pool[i*PageSize:]), int(t.at[i])
}

func (t *template) fill(page *[PageSize]byte, index int64, h uint64) {
	from, at := t.find(h)
	*page = *from
	first, second, two := t.stamp.words(index, h)
	binary.LittleEndian.PutUint64(page[at:], first)
	if two {
		binary.LittleEndian.PutUint64(page[at+wordSize:], second)
	}
}

func (t *template) check(page *[PageSize]byte, index int64, h uint64) int {
	from, at := t.find(h)
	first, second, two := t.stamp.words(index, h)
	end := at + wordSize
	if two {
		end += wordSize
	}
	if !bytes.Equal(page[:at], from[:at]) {
		return differ(page[:at], from[:at])
	}
	if i := firstDifference(page[at:], first); i >= 0 {
		return at + i
	}
	if two {
		if i := firstDifference(page[at+wordSize:], second); i >= 0 {
			return at + wordSize + i
		}
	}
	if !bytes.Equal(page[end:], from[end:]) {
		return end + differ(page[end:], from[end:])
	}
	return -1
}

// differ returns the first offset at which two unequal slices of one length differ.
func differ(a, b []byte) int {
	i := 0
	for a[i] == b[i] {
		i++
	}
	return i
}
