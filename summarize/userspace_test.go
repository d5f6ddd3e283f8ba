// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRankUserSpace ranks codecs by their own measures and claims nothing about the kernel's compressors.
func TestRankUserSpace(t *testing.T) {
	s := inUserSpace()
	ranking, candidates := oneRanking(t, s.codecs(), 0)
	want := map[string]string{"s2": "rank 1", "lz4": "rank 2", "zstd-1": "rank 3"}
	if diff := cmp.Diff(want, verdicts(candidates)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if ranking["basis"] != "user_space" || ranking["default"] != "lz4" || ranking["default_source"] != "codec" {
		t.Errorf("basis %v, default %v from %v, want user_space, lz4 from codec", ranking["basis"], ranking["default"], ranking["default_source"])
	}
	s2 := candidates["s2"]
	for _, key := range []string{"algorithm", "pool_ratio", "readback_p50_ns", "readback_p99_ns", "readback_p99_excess_ns"} {
		if s2[key] != nil {
			t.Errorf("%s = %v, want null", key, s2[key])
		}
	}
	if ratio, _ := s2["codec_ratio"].(float64); math.Abs(ratio-2.1) > 1e-6 {
		t.Errorf("codec_ratio = %v, want 2.1", s2["codec_ratio"])
	}
}

// TestRankVerifiedPages vetoes a codec that did not bring all pages back.
func TestRankVerifiedPages(t *testing.T) {
	s := inUserSpace()
	s.contenders[1].failedWrites = 1 // pages not verified
	ranking, candidates := oneRanking(t, s.codecs(), 0)
	if candidates["s2"]["verdict"] != "vetoed" || ranking["winner"] != "lz4" {
		t.Errorf("s2 %v, winner %v, want vetoed and lz4", candidates["s2"]["verdict"], ranking["winner"])
	}
}

// TestRankZramFirst leaves codecs out where the real thing was measured.
func TestRankZramFirst(t *testing.T) {
	ranking, candidates := oneRanking(t, append(inUserSpace().codecs(), usual().records()...), 0)
	if ranking["basis"] != "zram_swap" || len(candidates) != 3 || candidates["s2"] != nil {
		t.Errorf("basis %v with %d candidates, want zram_swap with 3", ranking["basis"], len(candidates))
	}
}

// TestUserSpaceTable says in its first line what was ranked.
func TestUserSpaceTable(t *testing.T) {
	out := summarize(t, inUserSpace().codecs(), "rank", "-", "-o", "table")
	if first, _, _ := strings.Cut(out.stdout, "\n"); !strings.HasPrefix(first, "User-space codecs, since zram or root was not available") {
		t.Errorf("first line %q", first)
	}
	if out.code != 0 {
		t.Errorf("exit code %d: %s", out.code, out.stderr)
	}
}

// TestUserSpaceSettings gives no zram settings.
func TestUserSpaceSettings(t *testing.T) {
	out := summarize(t, inUserSpace().codecs(), "rank", "-", "--emit", "zram-generator")
	if out.code != 4 || out.stdout != "" || !strings.Contains(out.stderr, "only user-space codecs") {
		t.Errorf("exit code %d, stdout %q, stderr %q", out.code, out.stdout, out.stderr)
	}
	out = summarize(t, inUserSpace().codecs(), "rank", "-", "--emit", "env")
	if out.code != 0 || !strings.Contains(out.stdout, "\nMEMLINE_CODEC=s2\n") || strings.Contains(out.stdout, "MEMLINE_ALGORITHM") {
		t.Errorf("exit code %d, stdout %q", out.code, out.stdout)
	}
}
