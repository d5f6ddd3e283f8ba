// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTableWidth keeps the ranking within 100 columns, with long names, large numbers and wide intervals too.
func TestTableWidth(t *testing.T) {
	s := usual()
	s.contenders[2] = contender{name: "a-compressor-with-a-long-name", ratio: 123.4, outUs: 1234.5, inUs: 987.6, p50Us: 999, p99Us: 4321, noise: 0.3}
	for _, input := range [][]byte{usual().records(), s.records(), inUserSpace().codecs()} {
		out := summarize(t, input, "rank", "-", "-o", "table")
		tableLines, _, _ := strings.Cut(out.stdout, "\n\n")
		for line := range strings.Lines(tableLines) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, " \n")); n > 100 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		t.Log("\n" + out.stdout)
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[float64]string{0: "0 ns", 55: "55 ns", 999: "999 ns", 1234: "1.23 µs", 18100: "18.1 µs", 999.4e3: "999 µs", 999.6e3: "1.00 ms", 2.5e9: "2.50 s", -1500: "-1.50 µs"} {
		if got := duration(ns); got != want {
			t.Errorf("duration(%g) = %q, want %q", ns, got, want)
		}
	}
}

func TestNamesCannotActOnATerminal(t *testing.T) {
	if got, want := harmless("a\x1b[31mb\u0007\u009bc\nd é"), "a\ufffd[31mb\ufffd\ufffdc\nd é"; got != want {
		t.Errorf("harmless = %q, want %q", got, want)
	}
}
