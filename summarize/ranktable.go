// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
)

// printRankings prints each pattern's table, best first, and what it means. Of a ranking that came to nothing the last
// line is the reason.
func printRankings(w io.Writer, rankings []*ranking, o *rankOptions) error {
	var out strings.Builder
	for i, r := range rankings {
		if i > 0 {
			out.WriteByte('\n')
		}
		if r.basis == basisUserSpace {
			out.WriteString("User-space codecs, since zram or root was not available: the kernel's own may rank otherwise.\n")
		}
		if r.pattern != "" && len(rankings) > 1 {
			fmt.Fprintf(&out, "Pattern %s:\n", r.pattern)
		}
		fmt.Fprintf(&out, "%s\n%s\n\n", r.table(), r.legend(o.ReadbackFactor))
		for _, c := range r.candidates {
			if c.verdict == vetoed || c.verdict == inconclusive && r.verdict != inconclusive {
				fmt.Fprintf(&out, "%s, %s: %s.\n", c.name, c.verdict, c.why)
			}
		}
		for _, sentence := range r.sentences(o) {
			if r.verdict != inconclusive || sentence != r.headline(o) {
				sentence = wrapped(sentence)
			}
			out.WriteString(sentence + "\n")
		}
	}
	return printed(io.WriteString(w, harmless(out.String())))
}

// widestName is how much of a name a table shows, so that it stays within 100 columns.
const widestName = 12

func (r *ranking) table() string {
	kind, ratio := "algorithm", "pool ratio"
	if r.basis == basisUserSpace {
		kind, ratio = "codec", "codec ratio"
	}
	header := table.Row{"place", kind, "score", fmt.Sprintf("× %.*s", widestName, r.reference.name), ratio, "out µs", "in µs"}
	if r.basis == basisZram {
		header = append(header, "p50+", "p99+")
	}
	t := newTable(header, 2)
	for _, c := range r.candidates {
		row := table.Row{c.place(), fmt.Sprintf("%.*s", widestName, c.name), spread(c.score, 1e6), c.against(), spread(c.poolRatio, 1),
			spread(c.out, 1e3), spread(c.in, 1e3)}
		if r.basis == basisUserSpace {
			row[4] = spread(c.codecRatio, 1)
		} else {
			row = append(row, scaled(c.p50Excess.Median, 1e3), scaled(c.p99Excess.Median, 1e3))
		}
		t.AppendRow(row)
	}
	return t.Render()
}

// legend explains the columns.
func (r *ranking) legend(factor float64) string {
	text := fmt.Sprintf("score: bytes saved per µs of CPU, read-backs a page out: %g; out, in: CPU a page; ±: 95 %% interval", factor)
	if r.basis == basisZram {
		text += ";\np50+, p99+: µs of a read-back above same-filled pages"
	}
	return text
}

// textWidth is where sentences are wrapped.
const textWidth = 98

// wrapped breaks a sentence into lines, all but the first indented.
func wrapped(sentence string) string {
	var out strings.Builder
	column := 0
	for i, word := range strings.Split(sentence, " ") {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+width > textWidth:
			out.WriteString("\n  ")
			column = 2
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += width
	}
	return out.String()
}

// place is a candidate's verdict in a word.
func (c *candidate) place() string {
	switch c.verdict {
	case ranked:
		return fmt.Sprint(c.rank)
	case tied:
		return fmt.Sprintf("%d %s", c.rank, tied)
	case inconclusive:
		return "unclear"
	}
	return c.verdict
}

// against is the score over the default's with its interval.
func (c *candidate) against() string {
	d := c.toDefault
	switch {
	case d.relation == isDefault:
		return "1"
	case d.relation == "" || d.pairs == 0:
		return "-"
	case math.IsNaN(d.effect.Low):
		return times(d.effect.Median)
	}
	return fmt.Sprintf("%s %s..%s", times(d.effect.Median), times(d.effect.Low), times(d.effect.High))
}

// spread writes a median with the larger half of its interval.
func spread(e estimate, unit float64) string {
	if math.IsNaN(e.Low) {
		return scaled(e.Median, unit)
	}
	half := max(e.High-e.Median, e.Median-e.Low)
	precision := 2
	switch median := math.Abs(e.Median / unit); {
	case median >= 99.95:
		precision = 0
	case median >= 9.995:
		precision = 1
	}
	return fmt.Sprintf("%.*f ±%.*f", precision, e.Median/unit, precision, half/unit)
}

func scaled(v, unit float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return digits(v / unit)
}
