// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oneRanking ranks a made-up run and returns its ranking record and the candidates by name.
func oneRanking(t *testing.T, input []byte, wantCode int, args ...string) (ranking map[string]any, candidates map[string]map[string]any) {
	t.Helper()
	out := summarize(t, input, append([]string{"rank", "-"}, args...)...)
	if out.code != wantCode {
		t.Fatalf("exit code %d, want %d: %s", out.code, wantCode, out.stderr)
	}
	found := out.event("ranking")
	if len(found) != 1 {
		t.Fatalf("%d ranking records, want 1:\n%s", len(found), out.stdout)
	}
	candidates = map[string]map[string]any{}
	for _, c := range out.event("candidate") {
		name, _ := c["algorithm"].(string)
		if name == "" {
			name, _ = c["codec"].(string)
		}
		candidates[name] = c
	}
	return found[0], candidates
}

// verdicts are the candidates' verdicts in a word each: 1, tie 1, vetoed, inconclusive.
func verdicts(candidates map[string]map[string]any) map[string]string {
	words := map[string]string{}
	for name, c := range candidates {
		words[name] = fmt.Sprint(c["verdict"])
		if rank, ok := c["rank"].(float64); ok {
			words[name] += fmt.Sprintf(" %.0f", rank)
		}
	}
	return words
}

// TestRankKnownTruth ranks made-up runs whose truth is known.
func TestRankKnownTruth(t *testing.T) {
	with := func(change func(*synthetic)) synthetic {
		s := usual()
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name        string
		run         synthetic
		args        []string
		code        int
		verdict     string
		recommended any
		candidates  map[string]string
	}{
		{name: "a winner", run: usual(), verdict: "winner", recommended: "lz4",
			candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2", "lzo": "rank 3"}},
		{name: "the default wins", run: with(func(s *synthetic) { s.defaultName = "lz4" }), verdict: "winner", recommended: "lz4",
			candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2", "lzo": "rank 3"}},
		{name: "alike, but for faster read-backs", run: with(func(s *synthetic) { s.contenders = s.contenders[:2]; s.contenders[1].p50Us = 7 }),
			verdict: "tie", recommended: "lzo", candidates: map[string]string{"lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "alike, but for slower read-backs", run: with(func(s *synthetic) { s.contenders = s.contenders[:2]; s.contenders[1].p50Us = 14 }),
			verdict: "tie", recommended: "lzo-rle", candidates: map[string]string{"lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "all alike", run: with(func(s *synthetic) { s.contenders = s.contenders[:2] }), verdict: "tie", recommended: "lzo-rle",
			candidates: map[string]string{"lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "two beat the default and are alike", run: with(func(s *synthetic) {
			twin := s.contenders[2]
			twin.name, twin.p99Us = "twin", 12
			s.contenders[1].outUs = 22
			s.contenders = append(s.contenders, twin)
		}), verdict: "tie", recommended: "twin", // whose slow read-backs are faster
			candidates: map[string]string{"lz4": "tie 1", "twin": "tie 1", "lzo-rle": "rank 3", "lzo": "rank 4"}},
		{name: "two beat the default, one is the best", run: with(func(s *synthetic) {
			s.contenders[1].outUs, s.contenders[1].inUs = 17, 9
		}), verdict: "winner", recommended: "lz4",
			candidates: map[string]string{"lz4": "rank 1", "lzo": "rank 2", "lzo-rle": "rank 3"}},
		{name: "noise", run: with(func(s *synthetic) {
			for i := range s.contenders {
				s.contenders[i].noise = 0.6
			}
		}), code: 4, verdict: "inconclusive",
			candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "inconclusive", "lzo": "inconclusive"}},
		{name: "one is noisy, and cannot be good enough", run: with(func(s *synthetic) {
			s.defaultName = "lz4"
			s.contenders[1].noise, s.contenders[1].outUs = 0.4, 60
			s.seed = 3
		}), verdict: "winner", recommended: "lz4", candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2", "lzo": "rank 3"}},
		{name: "a difference too small to matter", run: with(func(s *synthetic) {
			s.contenders = s.contenders[:2]
			s.contenders[1].outUs, s.contenders[1].inUs, s.contenders[1].noise, s.contenders[0].noise = 18.5, 10.4, 0.001, 0.001
		}), verdict: "tie", recommended: "lzo-rle", candidates: map[string]string{"lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "the same difference, which matters to this user", run: with(func(s *synthetic) {
			s.contenders = s.contenders[:2]
			s.contenders[1].outUs, s.contenders[1].inUs, s.contenders[1].noise, s.contenders[0].noise = 18.5, 10.4, 0.001, 0.001
		}), args: []string{"--min-effect", "1%"}, verdict: "winner", recommended: "lzo",
			candidates: map[string]string{"lzo": "rank 1", "lzo-rle": "rank 2"}},
		{name: "wrong bytes", run: with(func(s *synthetic) { s.contenders[2].error = "wrong_byte" }), verdict: "tie", recommended: "lzo-rle",
			candidates: map[string]string{"lz4": "vetoed", "lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "wrong bytes in the warm-up", run: with(func(s *synthetic) { s.contenders[2].warmupErrorDetail = "page 1 is wrong" }),
			verdict: "tie", recommended: "lzo-rle", candidates: map[string]string{"lz4": "vetoed", "lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "the guard's brake is no fault of the compressor", run: with(func(s *synthetic) { s.contenders[2].error = "guard" }),
			verdict: "winner", recommended: "lz4", candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2", "lzo": "rank 3"}},
		{name: "failed writes", run: with(func(s *synthetic) { s.contenders[2].failedWrites = 3 }), verdict: "tie", recommended: "lzo-rle",
			candidates: map[string]string{"lz4": "vetoed", "lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "saves nothing", run: with(func(s *synthetic) { s.contenders[2].ratio = 1 }), verdict: "tie", recommended: "lzo-rle",
			candidates: map[string]string{"lz4": "vetoed", "lzo-rle": "tie 1", "lzo": "tie 1"}},
		{name: "slow read-backs", run: usual(), args: []string{"--max-p99", "20us"}, verdict: "winner", recommended: "lz4",
			candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "vetoed", "lzo": "vetoed"}},
		{name: "the default is vetoed", run: with(func(s *synthetic) { s.contenders[0].failedWrites = 1 }), verdict: "winner", recommended: "lz4",
			candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "vetoed", "lzo": "rank 2"}},
		{name: "all are vetoed", run: usual(), args: []string{"--max-p99", "1us"}, code: 4, verdict: "inconclusive",
			candidates: map[string]string{"lz4": "vetoed", "lzo-rle": "vetoed", "lzo": "vetoed"}},
		{name: "five rounds", run: with(func(s *synthetic) { s.rounds = 5 }), code: 4, verdict: "inconclusive",
			candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "inconclusive", "lzo": "inconclusive"}},
		{name: "six rounds are too few for two comparisons", run: with(func(s *synthetic) { s.rounds = 6 }), code: 4, verdict: "inconclusive",
			candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "inconclusive", "lzo": "inconclusive"}},
		{name: "six rounds are enough for one", run: with(func(s *synthetic) {
			s.rounds, s.contenders = 6, []contender{s.contenders[0], s.contenders[2]}
		}), verdict: "winner", recommended: "lz4", candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2"}},
		{name: "two rounds, the default vetoed", run: with(func(s *synthetic) { s.rounds, s.contenders[0].failedWrites = 2, 1 }),
			code: 4, verdict: "inconclusive", candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "vetoed", "lzo": "inconclusive"}},
		{name: "one candidate", run: with(func(s *synthetic) { s.contenders = s.contenders[:1] }), code: 4, verdict: "inconclusive",
			candidates: map[string]string{"lzo-rle": "inconclusive"}},
		{name: "flagged rounds make the difference", run: with(func(s *synthetic) {
			s.contenders = []contender{s.contenders[0], {name: "lz4", ratio: 2.3, outUs: 18.8, inUs: 10.6, p50Us: 9, p99Us: 15, noise: 0.002}}
			s.contenders[0].noise = 0.002
			s.change = map[string]float64{"lzo-rle:1": 1.6, "lzo-rle:2": 1.6, "lzo-rle:3": 1.6, "lzo-rle:4": 1.6}
			s.contaminate = []string{"lzo-rle:1", "lzo-rle:2", "lzo-rle:3", "lzo-rle:4"}
		}), code: 4, verdict: "inconclusive", candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "inconclusive"}},
		{name: "flagged rounds agree with the others", run: with(func(s *synthetic) {
			s.contaminate, s.slow = []string{"lz4:2"}, []string{"lzo-rle:5"}
		}), verdict: "winner", recommended: "lz4", candidates: map[string]string{"lz4": "rank 1", "lzo-rle": "rank 2", "lzo": "rank 3"}},
		{name: "most rounds are flagged", run: with(func(s *synthetic) {
			s.contaminate, s.slow = []string{"lz4:2", "lz4:3"}, []string{"lzo-rle:4", "lzo-rle:5"}
		}), code: 4, verdict: "inconclusive", candidates: map[string]string{"lz4": "inconclusive", "lzo-rle": "inconclusive", "lzo": "inconclusive"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ranking, candidates := oneRanking(t, tt.run.records(), tt.code, tt.args...)
			if ranking["verdict"] != tt.verdict || ranking["recommended"] != tt.recommended {
				t.Errorf("verdict %v, recommended %v, want %v, %v: %v", ranking["verdict"], ranking["recommended"], tt.verdict, tt.recommended, ranking["why"])
			}
			if diff := cmp.Diff(tt.candidates, verdicts(candidates)); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			if tt.verdict == "winner" && ranking["winner"] != tt.recommended || tt.verdict != "winner" && ranking["winner"] != nil {
				t.Errorf("winner %v for the verdict %s", ranking["winner"], tt.verdict)
			}
		})
	}
}

// TestRankNumbers recomputes what the records of a run without noise must give.
func TestRankNumbers(t *testing.T) {
	s := usual()
	s.steady = true
	for i := range s.contenders {
		s.contenders[i].noise = 0
	}
	ranking, candidates := oneRanking(t, s.records(), 0)
	const saved = 4096 * (1 - 1/2.35)
	floorP50, floorP99 := 3900.0, 7100.0
	for key, want := range map[string]float64{
		"pool_ratio": 2.35, "pool_low_ratio": 2.35, "pool_high_ratio": 2.35, "page_saved_bytes": saved,
		"page_out_cpu_ns": 16000, "page_in_cpu_ns": 6200, "readback_p50_ns": 7900, "readback_p99_ns": 15000,
		"readback_p50_excess_ns": 7900 - floorP50, "readback_p99_excess_ns": 15000 - floorP99,
		"score_bytes_per_second":          saved / (16e-6 + 6.2e-6),
		"score_quarter_bytes_per_second":  saved / (16e-6 + 0.25*6.2e-6),
		"score_fourfold_bytes_per_second": saved / (16e-6 + 4*6.2e-6),
		"default_relative":                saved / 22.2e-6 / (4096 * (1 - 1/2.3) / 29.7e-6),
		"default_p_fraction":              2. / 128, "default_corrected_p_fraction": 4. / 128, "default_paired_rounds": 7,
	} {
		if got, _ := candidates["lz4"][key].(float64); math.Abs(got-want) > 1e-5*want {
			t.Errorf("%s = %v, want %v", key, candidates["lz4"][key], want)
		}
	}
	if ranking["measured_rounds"] != 7.0 || ranking["needed_rounds"] != 7.0 || ranking["default"] != "lzo-rle" || ranking["default_source"] != "kernel" {
		t.Errorf("rounds %v, needed %v, default %v from %v, want 7, 7, lzo-rle from kernel", ranking["measured_rounds"],
			ranking["needed_rounds"], ranking["default"], ranking["default_source"])
	}
}

// TestFlipPoint has a dense, slow compressor against a thin, fast one, whose order depends on how often pages come back.
func TestFlipPoint(t *testing.T) {
	s := usual()
	s.steady = true
	s.contenders = []contender{
		{name: "lzo-rle", ratio: 2, outUs: 20, inUs: 10, p50Us: 9, p99Us: 20},
		{name: "zstd", ratio: 4, outUs: 20, inUs: 30, p50Us: 29, p99Us: 60},
	}
	// saved 2048 and 3072: 2048/(20+10f) = 3072/(20+30f) at f = 2/3.
	for factor, winner := range map[string]string{"0": "zstd", "0.3": "zstd", "2": "lzo-rle"} {
		ranking, _ := oneRanking(t, s.records(), 0, "--readback-factor", factor)
		if ranking["winner"] != winner {
			t.Errorf("--readback-factor %s: winner %v, want %s", factor, ranking["winner"], winner)
		}
		if got, _ := ranking["flip_point_factor"].(float64); math.Abs(got-2./3) > 1e-3 {
			t.Errorf("--readback-factor %s: flip point %v, want 0.667", factor, ranking["flip_point_factor"])
		}
	}
}

// TestRankCalibration ranks many runs in which all candidates are the same: a test at 5 % may see a difference in one of
// twenty, all comparisons of a run together. A run with a real difference must nearly always find it.
func TestRankCalibration(t *testing.T) {
	const runs = 300
	falseAlarms, found := 0, 0
	for seed := range uint64(runs) {
		s := usual()
		s.seed = seed
		for i := range s.contenders {
			s.contenders[i].ratio, s.contenders[i].outUs, s.contenders[i].inUs, s.contenders[i].noise = 2.3, 19, 10, 0.08
		}
		rankings, err := judged(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rankings[0].candidates {
			if c.toDefault.p > 0 && c.toDefault.pHolm < alpha {
				falseAlarms++
				break
			}
		}
		s = usual()
		s.seed = seed
		if rankings, err = judged(s); err != nil {
			t.Fatal(err)
		}
		if rankings[0].verdict == winner && rankings[0].best.name == "lz4" {
			found++
		}
	}
	// 15 are expected; 27 or more happen once in 500.
	if falseAlarms > 27 {
		t.Errorf("%d of %d runs without any difference show one, want 5 %%", falseAlarms, runs)
	}
	if found < runs*95/100 {
		t.Errorf("the winner was found in %d of %d runs", found, runs)
	}
}

// judged ranks a made-up run without the tool around it.
func judged(s synthetic) ([]*ranking, error) {
	b := newBenchmark(func(string, string, ...any) {})
	for line := range strings.Lines(string(s.records())) {
		b.add(line)
	}
	return b.rankings(&rankOptions{ReadbackFactor: 1, MinEffect: percent{share: 0.05}})
}

// TestRankFlagged says which rounds are flagged, and why.
func TestRankFlagged(t *testing.T) {
	s := usual()
	s.contaminate, s.slow = []string{"lz4:2"}, []string{"lz4:5", "lzo:6"}
	ranking, candidates := oneRanking(t, s.records(), 0)
	got := map[string]any{"run": ranking["flagged_rounds"], "lz4": candidates["lz4"]["flagged_round_ids"], "lzo": candidates["lzo"]["flagged_round_ids"],
		"lzo-rle": candidates["lzo-rle"]["flagged_round_ids"]}
	want := map[string]any{"run": 3.0, "lz4": []any{"2", "5"}, "lzo": []any{"6"}, "lzo-rle": []any{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flagged rounds (-want +got):\n%s", diff)
	}
}

func TestDoubt(t *testing.T) {
	for _, tt := range []struct{ record, want string }{
		{`{"phase":"pageout","pages":100,"pswpout":100,"contaminated":false}`, ""},
		{`{"phase":"pageout","pages":100,"pswpout":100,"contaminated":true}`, "contaminated"},
		{`{"phase":"readback","pages":100,"contaminated":true}`, "contaminated"},
		{`{"phase":"readback","pages":100,"contaminated":null}`, ""},
		{`{"phase":"pageout","pages":100,"pswpout":150,"contaminated":null}`, "pswpout mismatch"},
		{`{"phase":"pageout","pages":100,"pswpout":60,"swpout_zero":40,"contaminated":null}`, ""},
		{`{"phase":"pageout","pages":100,"pswpout":150,"contaminated":false}`, ""}, // the tool knows better
		{`{"phase":"pageout","pages":100,"pswpout":80,"contaminated":false,"resident_pages":20}`, "pages stayed in memory"},
		{`{"phase":"pageout","pages":100,"contaminated":null}`, ""},
	} {
		if got := readRow(tt.record).doubt(); got != tt.want {
			t.Errorf("doubt of %s = %q, want %q", tt.record, got, tt.want)
		}
	}
}

// TestRankIncomplete lists rounds that did not finish and leaves them out of the pairs.
func TestRankIncomplete(t *testing.T) {
	s := usual()
	s.rounds = 8
	s.contenders[2].lacksReadbackIn = []int{3}
	out := summarize(t, s.records(), "rank", "-")
	if out.code != 0 {
		t.Fatalf("exit code %d: %s", out.code, out.stderr)
	}
	lz4 := out.event("candidate")[0]
	want := map[string]any{"measured_rounds": 8.0, "complete_rounds": 7.0, "incomplete_round_ids": []any{"3"}, "default_paired_rounds": 7.0}
	got := map[string]any{}
	for key := range want {
		got[key] = lz4[key]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lz4 (-want +got):\n%s", diff)
	}
	if w := out.event("warning"); len(w) != 1 || w[0]["reason"] != "incomplete_rounds" {
		t.Errorf("warnings %v, want one of incomplete_rounds", w)
	}
}

// TestRankNoFloor has raw read-backs without an excess.
func TestRankNoFloor(t *testing.T) {
	s := usual()
	s.noFloorIn = []int{0, 1, 2, 3, 4, 5, 6, 7}
	out := summarize(t, s.records(), "rank", "-")
	lz4 := out.event("candidate")[0]
	if lz4["readback_p99_excess_ns"] != nil || lz4["readback_p99_ns"] == nil {
		t.Errorf("p99 %v, excess %v, want a number and null", lz4["readback_p99_ns"], lz4["readback_p99_excess_ns"])
	}
	if w := out.event("warning"); len(w) != 1 || w[0]["reason"] != "no_floor" {
		t.Errorf("warnings %v, want one of no_floor", w)
	}
}

// TestRankFloorPattern finds a floor that is labelled with the pattern of its own pages.
func TestRankFloorPattern(t *testing.T) {
	own := strings.ReplaceAll(string(usual().records()), `"algorithm":"floor","round":"`, `"algorithm":"floor","is":"same","round":"`)
	var records strings.Builder
	for line := range strings.Lines(own) {
		if strings.Contains(line, `"is":"same"`) {
			line = strings.ReplaceAll(line, `"pattern":"mixed"`, `"pattern":"same"`)
		}
		records.WriteString(line)
	}
	_, candidates := oneRanking(t, []byte(records.String()), 0)
	if candidates["lz4"]["readback_p50_excess_ns"] == nil {
		t.Error("no excess beside a floor of the pattern same")
	}
}

// TestRankDefault covers who the others are compared with.
func TestRankDefault(t *testing.T) {
	unknown := usual()
	unknown.defaultName = "842"
	for _, tt := range []struct {
		name         string
		run          synthetic
		args         []string
		want, source string
		warnings     int
	}{
		{"the kernel's", usual(), nil, "lzo-rle", "kernel", 0},
		{"the user's", usual(), []string{"--default", "lzo"}, "lzo", "option", 0},
		{"nobody's", unknown, nil, "lzo-rle", "first", 1},
	} {
		out := summarize(t, tt.run.records(), append([]string{"rank", "-"}, tt.args...)...)
		r := out.event("ranking")[0]
		if r["default"] != tt.want || r["default_source"] != tt.source || len(out.event("warning")) != tt.warnings {
			t.Errorf("%s: default %v from %v with %d warnings, want %s from %s with %d", tt.name, r["default"],
				r["default_source"], len(out.event("warning")), tt.want, tt.source, tt.warnings)
		}
	}
	if out := summarize(t, usual().records(), "rank", "-", "--default", "zstd"); out.code != 4 || !strings.Contains(out.stderr, "not among the candidates (lzo-rle, lzo, lz4)") {
		t.Errorf("--default zstd: exit %d, %s", out.code, out.stderr)
	}
}

// TestRankSeveralRuns pools runs of one host and refuses to mix hosts.
func TestRankSeveralRuns(t *testing.T) {
	first, second := usual(), usual()
	first.rounds, second.rounds, second.run, second.seed, second.firstProc = 4, 4, "r2", 9, 1000
	ranking, candidates := oneRanking(t, append(first.records(), second.records()...), 0)
	if ranking["measured_rounds"] != 8.0 || candidates["lz4"]["default_paired_rounds"] != 8.0 {
		t.Errorf("two runs of 4 rounds have %v rounds and %v pairs, want 8", ranking["measured_rounds"], candidates["lz4"]["default_paired_rounds"])
	}
	if diff := cmp.Diff([]any{"r1", "r2"}, ranking["measured_run_ids"]); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}

	out := summarize(t, append(first.records(), first.records()...), "rank", "-")
	if r := out.event("ranking")[0]; r["measured_rounds"] != 4.0 || out.code != 4 {
		t.Errorf("the same run twice has %v rounds and exit code %d, want 4 and 4", r["measured_rounds"], out.code)
	}

	second.host = "h2"
	ranking, _ = oneRanking(t, append(first.records(), second.records()...), 4)
	if ranking["reason"] != "mixed_hosts" || ranking["measured_host"] != nil {
		t.Errorf("reason %v on host %v, want mixed_hosts on none", ranking["reason"], ranking["measured_host"])
	}
	second.host, second.kernel = "h1", "6.12.0"
	if ranking, _ = oneRanking(t, append(first.records(), second.records()...), 4); ranking["reason"] != "mixed_kernels" {
		t.Errorf("reason %v, want mixed_kernels", ranking["reason"])
	}
}

// TestRankPatterns gives each pattern its own ranking and settings only where they agree.
func TestRankPatterns(t *testing.T) {
	mixed, text := usual(), usual()
	text.pattern, text.firstProc = "text", 1000
	out := summarize(t, append(mixed.records(), text.records()...), "rank", "-")
	if n := len(out.event("ranking")); n != 2 || len(out.event("candidate")) != 6 || out.code != 0 {
		t.Errorf("%d rankings of %d candidates, exit code %d, want 2, 6, 0", n, len(out.event("candidate")), out.code)
	}
	text.contenders[2].outUs = 60 // lz4 is bad at text
	both := append(mixed.records(), text.records()...)
	if out := summarize(t, both, "rank", "-", "--emit", "env"); out.code != 4 || out.stdout != "" || !strings.Contains(out.stderr, "lz4 is best for the pattern mixed") {
		t.Errorf("patterns that disagree: exit %d, stdout %q, stderr %q", out.code, out.stdout, out.stderr)
	}
}

// TestRankRepeatedPhase counts the last of two results of one round.
func TestRankRepeatedPhase(t *testing.T) {
	s := usual()
	again := strings.ReplaceAll(string(s.records()), `"proc":"`, `"proc":"f`)
	ranking, _ := oneRanking(t, append(s.records(), again...), 0)
	if ranking["measured_rounds"] != 7.0 {
		t.Errorf("rounds %v, want 7", ranking["measured_rounds"])
	}
}

// TestRankLongNames keeps every line within its bounds whatever the labels hold, and prints no settings of unsafe names.
func TestRankLongNames(t *testing.T) {
	s := usual()
	s.contenders[1].name, s.contenders[2].name = strings.Repeat("n", 3000), strings.Repeat("é\\n", 500)
	s.run, s.pattern, s.host = strings.Repeat("r", 4000), strings.Repeat("p", 3000), strings.Repeat("h", 3000)
	if out := summarize(t, s.records(), "rank", "-"); out.code != 0 {
		t.Errorf("exit code %d: %.300s", out.code, out.stderr)
	}
	for _, name := range []string{"lz4\nMEMLINE_X=1", "$(reboot)", "a b", ""} {
		s := usual()
		s.contenders[2].name = name
		for _, form := range []string{"env", "sysctl", "zram-generator"} {
			out := summarize(t, s.records(), "rank", "-", "--emit", form)
			if name != "" && (out.code != 4 || out.stdout != "") {
				t.Errorf("--emit %s of %q: exit code %d, stdout %q", form, name, out.code, out.stdout)
			}
		}
	}
}
