// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"memline/internal/codec"
)

// isClass reports whether a page looks like its class, without the generator's help.
func isClass(c Class, page []byte) bool {
	words := make([]uint64, 0, wordsPerPage)
	pointers := 0
	for i := 0; i < PageSize; i += wordSize {
		w := binary.LittleEndian.Uint64(page[i:])
		words = append(words, w)
		if top := w >> 40; top == 0x7f || top == 0x55 {
			pointers++
		}
	}
	constant := len(slices.Compact(slices.Clone(words))) == 1
	ascending := true
	for i, w := range words[1:] {
		ascending = ascending && w == words[i]+1
	}
	printable := !slices.ContainsFunc(page, func(b byte) bool { return b != '\n' && (b < ' ' || b > '~') })
	switch c {
	case Zeros:
		return constant && words[0] == 0
	case Same:
		return constant && words[0] != 0
	case Sequential:
		return ascending
	case Text:
		return printable && bytes.Count(page, []byte(" ")) > 400 && bytes.Contains(page, []byte(". ")) && bytes.Contains(page, []byte("Record "))
	case Pointers:
		return pointers > wordsPerPage/4 && pointers < 3*wordsPerPage/4
	}
	return !constant && !ascending && !printable && pointers < 3
}

func TestClassesLookTheirPart(t *testing.T) {
	for _, name := range Names() {
		g := generator(t, name, 11)
		for i := range int64(2000) {
			if page := filled(g, i, 1); !isClass(g.Class(i), page) {
				t.Fatalf("%s: page %d is not of class %s:\n%q", name, i, g.Class(i), page)
			}
		}
	}
}

// ratios returns original / stored of each codec for pages of a pattern, over three seeds.
func ratios(t *testing.T, pattern string, codecs []string) []float64 {
	t.Helper()
	var memory []byte
	for seed := range uint64(3) {
		memory = append(memory, filled(generator(t, pattern, seed), 1<<20, 300)...)
	}
	out := make([]float64, len(codecs))
	for i, name := range codecs {
		c, err := codec.New(name)
		if err != nil {
			t.Fatal(err)
		}
		stored, _, err := c.Sizes(memory)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = float64(len(memory)) / float64(stored)
	}
	return out
}

// TestRatiosAreAsDocumented measures the table of the package comment again.
func TestRatiosAreAsDocumented(t *testing.T) {
	source, err := os.ReadFile("pages.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(source), "//\tratio ")
	table, _, ended := strings.Cut(table, "\npackage ")
	if !found || !ended {
		t.Fatal("pages.go has no table of ratios")
	}
	head, rows, _ := strings.Cut(table, "\n")
	codecs, seen := strings.Fields(head), []string{}
	for _, row := range regexp.MustCompile(`(?m)^//\t(\S+) +(.*)$`).FindAllStringSubmatch(rows, -1) {
		seen = append(seen, row[1])
		want := strings.Fields(row[2])
		for i, got := range ratios(t, row[1], codecs) {
			w, err := strconv.ParseFloat(want[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got-w) > 0.03*w {
				t.Errorf("%s: ratio of %s = %.2f, want %v within 3 %%", row[1], codecs[i], got, w)
			}
		}
	}
	if !slices.Equal(seen, Names()) {
		t.Errorf("the table has rows for %v, want %v", seen, Names())
	}
}

func TestMixedSeparatesCodecs(t *testing.T) {
	r := ratios(t, "mixed", []string{"lz4", "lz4hc-9", "zstd-1", "zstd-3"})
	if lz4, hc, zstd1, zstd3 := r[0], r[1], r[2], r[3]; hc < 1.04*lz4 || zstd1 < 1.2*hc || zstd3 < 1.01*zstd1 {
		t.Errorf("ratios of lz4, lz4hc-9, zstd-1, zstd-3 = %.2f, want clear steps", r)
	}
}

func TestTextAndPointersCompressAsMemoryDoes(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		low, high float64
	}{{"text", 1.7, 2.3}, {"pointers", 2, 3}} {
		r := ratios(t, c.pattern, []string{"lz4", "zstd-3"})
		if r[0] < c.low || r[0] > c.high || r[1] < 1.3*r[0] {
			t.Errorf("%s: ratios of lz4 and zstd-3 = %.2f, want lz4 in %v..%v and zstd-3 clearly better", c.pattern, r, c.low, c.high)
		}
	}
}
