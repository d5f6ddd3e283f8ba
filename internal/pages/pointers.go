// SPDX-License-Identifier: Apache-2.0

package pages

import "encoding/binary"

// field is what one 8-byte word of an object holds.
type field uint8

const (
	header    field = iota // the allocator's word before the object: its size and a flag
	vtable                 // a pointer to the methods of the object's type
	neighbour              // a pointer to another object in the same page
	child                  // the same, or null
	arena                  // a pointer to somewhere in one of the process's arenas
	option                 // the same, or null
	null                   // no object
	small                  // a small number, such as a count of references
	length                 // a length and a capacity, 4 bytes each
	flags                  // one of a few bits
	hashed                 // 4 bytes without order, as of a cached hash
	inline                 // a short string held in place
)

// layouts returns the types of object on the heap. Each has an even number of words, which keeps objects
// aligned to 16 bytes, and a pointer, which a page can be stamped in.
func layouts() [][]field {
	return [][]field{
		{header, vtable, arena, length},                                              // string
		{header, neighbour, neighbour, arena},                                        // list node
		{header, vtable, small, arena},                                               // boxed number
		{header, arena, arena, arena, length, null},                                  // vector
		{header, child, hashed, arena, arena, small},                                 // hash table entry
		{header, child, child, neighbour, small, arena, flags, null},                 // tree node
		{header, vtable, small, flags, arena, option, null, null},                    // counted object
		{header, vtable, hashed, length, neighbour, arena, inline, null},             // cache record
		{header, vtable, flags, small, neighbour, arena, option, length, null, null}, // connection
	}
}

const (
	objectAlign = 16
	arenaSpan   = 1 << 20 // bytes of an arena that pointers lead to
)

// heap writes memory as the allocator of a 64-bit program leaves it behind.
type heap struct {
	rng
	layouts [][]field
	vtables []uint64 // one for each layout
	arenas  [4]uint64
}

func newHeap(r rng) *heap {
	h := &heap{rng: r, layouts: layouts()}
	image := uint64(0x55<<40 + h.below(1<<28)<<12) // where the program's own code and data are mapped
	for range h.layouts {
		h.vtables = append(h.vtables, image+uint64(h.below(1<<12))*64)
	}
	for i := range h.arenas {
		h.arenas[i] = uint64(0x7f<<40 + h.below(1<<14)<<26)
	}
	return h
}

// page fills a page with runs of objects of three types and returns where it may be stamped: in a pointer.
func (h *heap) page(page []byte) (stampAt uint16) {
	base := h.arenas[h.below(len(h.arenas))] + uint64(h.below(arenaSpan/PageSize))*PageSize
	types := [3]int{h.below(len(h.layouts)), h.below(len(h.layouts)), h.below(len(h.layouts))}
	stampAfter, current := h.below(PageSize/2), types[0]
	for at := 0; at < PageSize; {
		if h.percent(30) {
			current = types[h.below(len(types))]
		}
		for _, f := range h.layouts[current] {
			if at == PageSize {
				break
			}
			if f == arena && at >= stampAfter {
				stampAt, stampAfter = uint16(at), PageSize
			}
			binary.LittleEndian.PutUint64(page[at:], h.word(f, current, base))
			at += wordSize
		}
	}
	return stampAt
}

// word returns a value of field f for an object of type t in the page whose address is base.
func (h *heap) word(f field, t int, base uint64) uint64 {
	switch f {
	case header:
		return uint64(len(h.layouts[t])*wordSize | 1)
	case vtable:
		return h.vtables[t]
	case child:
		if h.percent(50) {
			return 0
		}
		fallthrough
	case neighbour:
		return base + uint64(h.below(PageSize/objectAlign))*objectAlign
	case option:
		if h.percent(50) {
			return 0
		}
		fallthrough
	case arena:
		return h.arenas[h.below(len(h.arenas))] + uint64(h.below(arenaSpan/objectAlign))*objectAlign
	case small:
		return uint64(h.below(h.below(256) + 1))
	case length:
		n := h.below(100)
		return uint64(n | (n+15)&^15<<32)
	case flags:
		return 1 << h.below(4)
	case hashed:
		return h.next() >> 32
	case inline:
		return 0x79726f6d656d // "memory"
	}
	return 0
}
