// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"memline/internal/exit"
)

// FuzzRank ranks made-up runs of any shape with a stray record among them: nothing may fail, every record must have a
// JSON form, nothing vetoed may be recommended, and settings must be safe to read.
func FuzzRank(f *testing.F) {
	f.Add(`{"tool":"zramctl","event":"device","labels":{"algorithm":"lz4","round":"3"}}`, "lz4", 2.3, 16.0, 6.0, 15.0, 0.01, 7, uint64(0))
	f.Add(`{"tool":"mempressure","event":"error","reason":"wrong_byte","labels":{"algorithm":"lz4","round":"0"}}`, "a\nb=c", 1.0, 0.0, -1.0, 1e300, 0.5, 5, uint64(3))
	f.Add(`{"tool":"mempressure","event":"result","phase":"pageout","pages":0,"labels":{"algorithm":"x","round":"1"}}`, "", 1e-300, 1e300, 1.0, 0.0, 0.0, 8, uint64(255))
	f.Add(`{"tool":"arenabench","event":"result","codec":"raw","labels":{"round":"1"}}`, "s2", 3.0, 4.0, 1.0, 0.0, 0.1, 7, uint64(256))
	f.Fuzz(func(t *testing.T, stray, name string, ratio, out, in, p99, noise float64, rounds int, marks uint64) {
		s := usual()
		s.rounds, s.seed, s.run = min(max(rounds, 0), 9), marks, name
		s.contenders[2] = contender{name: name, ratio: ratio, outUs: out, inUs: in, p50Us: p99 / 2, p99Us: p99, noise: noise}
		for round := range 8 {
			if marks>>round&1 == 1 {
				s.contaminate = append(s.contaminate, fmt.Sprintf("%s:%d", name, round))
			}
		}
		records := s.records()
		if marks>>8&1 == 1 {
			records = s.codecs()
		}
		b := newBenchmark(func(string, string, ...any) {})
		for line := range strings.Lines(string(records) + stray) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "{") && gjson.Valid(line) {
				b.add(line)
			}
		}
		o := &rankOptions{ReadbackFactor: 1, MinEffect: percent{share: 0.05}}
		rankings, err := b.rankings(o)
		if code, _ := exit.Code(err); code != 0 && code != exit.Inconclusive {
			t.Fatalf("rankings: %v", err)
		}
		checkRankings(t, rankings, o)
	})
}

// checkRankings prints rankings in every form.
func checkRankings(t *testing.T, rankings []*ranking, o *rankOptions) {
	check := func(event string, fields any) {
		if _, err := json.Marshal(fields); err != nil { // such as NaN, which no record may have
			t.Fatalf("%s: %v", event, err)
		}
	}
	for _, r := range rankings {
		for _, c := range r.candidates {
			check("candidate", r.candidateRecord(c))
		}
		check("ranking", r.record(o))
		if r.recommended != nil && r.recommended.verdict == vetoed {
			t.Fatalf("recommends the vetoed %s", r.recommended.name)
		}
		if (r.recommended == nil) != (r.verdict == inconclusive) {
			t.Fatalf("recommends %v for the verdict %s", r.recommended, r.verdict)
		}
	}
	var text bytes.Buffer
	if err := printRankings(&text, rankings, o); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"env", "sysctl", "zram-generator"} {
		if len(rankings) == 0 {
			break
		}
		text.Reset()
		if err := emitSettings(&text, form, rankings); err != nil && text.Len() > 0 {
			t.Fatalf("refuses %s and prints %q", form, text.String())
		}
		for line := range strings.Lines(text.String()) {
			if form == "env" && !safeLine.MatchString(line) {
				t.Fatalf("unsafe line %q", line)
			}
		}
	}
}

// safeLine is what a shell may read line by line.
var safeLine = regexp.MustCompile(`^(# .*|[A-Z_]+=[A-Za-z0-9._-]+)\n$`)
