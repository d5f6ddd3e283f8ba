// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"memline/internal/exit"
)

// emitSettings prints the settings that a ranking recommends, or nothing and an error that says why it recommends none.
func emitSettings(w io.Writer, form string, rankings []*ranking) error {
	r := rankings[0]
	for _, other := range rankings {
		if other.recommended == nil {
			return exit.New(exit.Inconclusive, other.reason, "--emit: no settings, since there is no ranking%s: %s", other.ofPattern(rankings), other.why)
		}
		if other.recommended.name != r.recommended.name {
			return exit.New(exit.Inconclusive, "patterns_disagree", "--emit: no settings, since %s is best for the pattern %s and %s for %s; rank the pattern that is like this host's memory alone",
				r.recommended.name, r.pattern, other.recommended.name, other.pattern)
		}
	}
	name := r.recommended.name
	if plain(name) != name {
		return exit.New(exit.Inconclusive, "unsafe_name", "--emit: no settings, since %q is not a name that is safe in them", name)
	}
	if r.basis == basisUserSpace && form == "zram-generator" {
		return exit.New(exit.Inconclusive, "user_space_basis", "--emit: no zram settings, since only user-space codecs were measured, and the kernel's may rank otherwise; run as root with zram")
	}
	var text string
	switch form {
	case "zram-generator":
		text = r.zramGenerator()
	case "sysctl":
		text = r.sysctl()
	default:
		text = r.env()
	}
	return printed(io.WriteString(w, text))
}

// provenance is the comment on top of all settings.
func (r *ranking) provenance() string {
	runs := make([]string, 0, len(r.runs))
	for _, run := range r.runs[:min(len(r.runs), maxListed)] {
		runs = append(runs, plain(run))
	}
	verdict := "the winner"
	if r.verdict == tied {
		names := make([]string, 0, len(r.tied))
		for _, c := range r.tied[:min(len(r.tied), maxListed)] {
			names = append(names, plain(c.name))
		}
		verdict = "recommended of a tie of " + andList(names)
	}
	return fmt.Sprintf("# memline run %s, basis %s: %s is %s.\n", strings.Join(runs, " "), r.basis, r.recommended.name, verdict)
}

func (r *ranking) zramGenerator() string {
	return r.provenance() + `# /etc/systemd/zram-generator.conf
[zram0]
compression-algorithm = ` + r.recommended.name + `
# Uncompressed size; what it really takes is this divided by the pool ratio.
zram-size = ram / 2
# Above any disk swap.
swap-priority = 100
`
}

func (r *ranking) sysctl() string {
	return r.provenance() + `# /etc/sysctl.d/99-zram.conf
# Read no neighbours along: there is no seek to save, and each costs a decompression.
vm.page-cluster = 0
# Above 100 the kernel prefers swapping to dropping file pages: 200 * x / (1 + x) where swap is x times as fast as the
# disk (kernel documentation). 133 is x = 2, a careful choice for zram; 180 is x = 9.
vm.swappiness = 133
`
}

// env prints lines that a shell may read one by one: KEY=VALUE, the value of letters, digits, dot, dash, underscore.
func (r *ranking) env() string {
	key := "MEMLINE_ALGORITHM"
	if r.basis == basisUserSpace {
		key = "MEMLINE_CODEC"
	}
	return r.provenance() + fmt.Sprintf("%s=%s\nMEMLINE_BASIS=%s\nMEMLINE_VERDICT=%s\n", key, r.recommended.name, r.basis, r.verdict)
}

// plain keeps the characters that mean nothing to a shell, an ini file or a comment's end.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, text)
}
