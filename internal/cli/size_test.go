// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	const base = 1000 << 20
	for text, want := range map[string]int64{
		"512M": 512 << 20, "512m": 512 << 20, "512MiB": 512 << 20, "512mib": 512 << 20, "512MB": 512e6,
		"2G": 2 << 30, "1T": 1 << 40, "64KiB": 64 << 10, "64K": 64 << 10, "4KB": 4000, "4096B": 4096, "4096b": 4096,
		"1.5G": 3 << 29, ".5K": 512, "5.K": 5 << 10, "0M": 0, "0%": 0, "0B": 0,
		"25%": base / 4, "100%": base, "12.5%": base / 8, "0.1B": 0, "8191T": 8191 << 40,
	} {
		s, err := ParseSize(text)
		if err != nil {
			t.Errorf("ParseSize(%q): %v", text, err)
			continue
		}
		if got := s.Of(base); got != want {
			t.Errorf("ParseSize(%q).Of(%d) = %d, want %d", text, int64(base), got, want)
		}
		if s.String() != text || !s.IsSet() || s.IsPercent() != strings.HasSuffix(text, "%") {
			t.Errorf("ParseSize(%q): String %q, IsSet %t, IsPercent %t", text, s, s.IsSet(), s.IsPercent())
		}
		if zero := want == 0; s.IsZero() != zero {
			t.Errorf("ParseSize(%q).IsZero() = %t, want %t", text, s.IsZero(), zero)
		}
	}
	for text, want := range map[string]string{
		"":                            "not a size",
		"M":                           "not a size",
		"%":                           "not a size",
		"big":                         "not a size",
		"512":                         "no unit",
		"0":                           "no unit",
		"-1M":                         "negative",
		"-0M":                         "negative",
		"-5%":                         "negative",
		"101%":                        "more than all",
		"5X":                          `unknown unit "X"`,
		"5MM":                         `unknown unit "MM"`,
		"5M%":                         "unknown unit",
		"8192T":                       "more than 8P",
		"9e99T":                       "not a size",
		"1e3M":                        "not a size",
		"0x10M":                       "not a size",
		"1_000M":                      "not a size",
		"+5M":                         "not a size",
		" 5M":                         "not a size",
		"5M ":                         "not a size",
		"5 M":                         "not a size",
		"5,5M":                        "not a size",
		"1.2.3M":                      "not a size",
		"Inf":                         "not a size",
		"NaN":                         "not a size",
		"InfM":                        "not a size",
		"٣M":                          "not a size",
		"5\x00M":                      "not a size",
		"99999999999999999999999999G": "more than 8P",
	} {
		if s, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSize(%q) = %v, %v, want an error with %q", text, s, err, want)
		} else if !strings.Contains(err.Error(), "give") && !strings.Contains(err.Error(), "write") && !strings.Contains(err.Error(), "use") {
			t.Errorf("ParseSize(%q) = %q, which does not say what to give", text, err)
		}
	}
	if s := (Size{}); s.IsSet() || s.IsZero() || s.Of(7) != 0 {
		t.Errorf("a size that was not given: IsSet %t, IsZero %t, Of %d", s.IsSet(), s.IsZero(), s.Of(7))
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"512M", "25%", "1.5GiB", "-1M", "5", "8192T", "0.1B", "\xff%", "1e5M"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSize(text)
		if err != nil {
			if s != (Size{}) {
				t.Errorf("ParseSize(%q) = %+v beside the error %v", text, s, err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("ParseSize(%q) = %q, want one line", text, err)
			}
			return
		}
		n := s.Of(maxSize - 1)
		if n < 0 || n >= maxSize {
			t.Errorf("ParseSize(%q).Of(2^53-1) = %d, want it within [0, 2^53)", text, n)
		}
		if again, err := ParseSize(s.String()); err != nil || again != s {
			t.Errorf("ParseSize(%q) = %+v, again %+v, %v", text, s, again, err)
		}
		if n > 8000<<40 {
			return // rounding up may leave what a size can be
		}
		// What is shown to people can be typed back, and is right to three digits.
		shown := FormatBytes(n)
		back, err := ParseSize(strings.ReplaceAll(shown, " ", ""))
		if err != nil {
			t.Fatalf("ParseSize(FormatBytes(%d) = %q): %v", n, shown, err)
		}
		if got := back.Of(0); math.Abs(float64(got-n)) > 0.0051*float64(n) {
			t.Errorf("FormatBytes(%d) = %q, which is %d", n, shown, got)
		}
	})
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1023: "1023 B", 1024: "1.00 KiB", 10 << 10: "10.0 KiB", 1023 << 10: "1023 KiB", 1<<20 - 1: "1.00 MiB",
		1536 << 20: "1.50 GiB", 100 << 30: "100 GiB", 1 << 40: "1.00 TiB", 1 << 50: "1024 TiB", -2048: "-2.00 KiB", 102348: "99.9 KiB", 102360: "100 KiB",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"300ms": 300 * time.Millisecond, "10s": 10 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Duration != want || d.String() != text || !d.IsSet() {
			t.Errorf("Duration %q = %v (%q), %v, want %v", text, d.Duration, d, err, want)
		}
		if b, err := json.Marshal(d); err != nil || string(b) != `"`+text+`"` {
			t.Errorf("Duration %q in a record = %s, %v", text, b, err)
		}
	}
	for text, want := range map[string]string{"": "not a duration", "10": "not a duration", "fast": "not a duration", "-1s": "negative", "9999999999h": "not a duration"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || d.IsSet() {
			t.Errorf("Duration %q = %v, %v, want an error with %q", text, d.Duration, err, want)
		}
	}
}

func TestParseLabels(t *testing.T) {
	got, err := parseLabels([]string{"algorithm=lz4", "note=a=b", "empty=", "algorithm=zstd"})
	if err != nil || len(got) != 3 || got["algorithm"] != "zstd" || got["note"] != "a=b" || got["empty"] != "" {
		t.Errorf("parseLabels = %v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "=v", "Upper=1", "a-b=1", "ü=1", "a b=1"} {
		if got, err := parseLabels([]string{bad}); err == nil {
			t.Errorf("parseLabels(%q) = %v, want an error", bad, got)
		}
	}
}
