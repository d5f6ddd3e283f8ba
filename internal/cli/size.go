// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is an amount of memory as the user typed it: a number with a unit (512M = MiB, 2G, 64KiB, 4096B; 1MB = 10^6) or
// a percentage of something only the tool knows.
type Size struct {
	text    string
	bytes   int64
	percent float64
}

var sizeUnits = map[string]float64{
	"B": 1,
	"K": 1 << 10, "KIB": 1 << 10, "KB": 1e3,
	"M": 1 << 20, "MIB": 1 << 20, "MB": 1e6,
	"G": 1 << 30, "GIB": 1 << 30, "GB": 1e9,
	"T": 1 << 40, "TIB": 1 << 40, "TB": 1e12,
}

// maxSize keeps every size exact in a double, as records promise.
const maxSize = 1 << 53

// ParseSize parses a size. Zero is a size; whether it makes sense is the tool's decision.
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%")
	unit := text[len(digits):]
	value, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil || strings.ContainsAny(digits, "eExXpP_+ ") || math.IsInf(value, 0) || math.IsNaN(value):
		return Size{}, fmt.Errorf("%q is not a size; give a number with a unit, such as 512M, 2G or 25%%", text)
	case value < 0 || strings.HasPrefix(digits, "-"):
		return Size{}, fmt.Errorf("%q is negative; give a size such as 512M, 2G or 25%%", text)
	case unit == "":
		return Size{}, fmt.Errorf("%q has no unit; write %sM for MiB, %sG for GiB, %sB for bytes", text, text, text, text)
	case unit == "%":
		if value > 100 {
			return Size{}, fmt.Errorf("%q is more than all of it; give at most 100%%", text)
		}
		return Size{text: text, percent: value}, nil
	}
	factor, ok := sizeUnits[strings.ToUpper(unit)]
	if !ok {
		return Size{}, fmt.Errorf("%q has the unknown unit %q; use B, K, M, G, T (1024) or KB, MB, GB, TB (1000)", text, unit)
	}
	if value*factor >= maxSize {
		return Size{}, fmt.Errorf("%q is more than 8P, which no machine has; give a smaller size", text)
	}
	return Size{text: text, bytes: int64(value * factor)}, nil
}

// UnmarshalText parses the size; kong calls it.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}

// Of is the size in bytes; a percentage is taken of base.
func (s Size) Of(base int64) int64 {
	if s.IsPercent() {
		return int64(s.percent / 100 * float64(base))
	}
	return s.bytes
}

// IsPercent reports whether the size depends on a base.
func (s Size) IsPercent() bool { return strings.HasSuffix(s.text, "%") }

// IsSet reports whether the user gave the size at all.
func (s Size) IsSet() bool { return s.text != "" }

// IsZero reports whether the size was given as zero of anything.
func (s Size) IsZero() bool { return s.IsSet() && s.bytes == 0 && s.percent == 0 }

func (s Size) String() string { return s.text }

// MarshalJSON writes what the user typed; the plan has the bytes.
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.text) }

// SchemaType is the JSON type of a size option.
func (s Size) SchemaType() string { return "string" }

// Duration is a time span as the user typed it: 300ms, 10s, 5m.
type Duration struct {
	text string
	time.Duration
}

// UnmarshalText parses the duration; kong calls it.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration; give a number with a unit, such as 300ms, 10s or 5m", b)
	case v < 0:
		return fmt.Errorf("%q is negative; give a duration such as 300ms, 10s or 5m", b)
	}
	d.text, d.Duration = string(b), v
	return nil
}

// IsSet reports whether the user gave the duration at all.
func (d Duration) IsSet() bool { return d.text != "" }

func (d Duration) String() string { return d.text }

// MarshalJSON writes what the user typed.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.text) }

// SchemaType is the JSON type of a duration option.
func (d Duration) SchemaType() string { return "string" }

// FormatBytes writes a size for people: binary units, three significant digits.
func FormatBytes(n int64) string {
	value, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if math.Abs(value) < 1023.5 {
			break
		}
		value, unit = value/1024, u
	}
	if unit == "B" || math.Abs(value) >= 99.95 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	if math.Abs(value) >= 9.995 {
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.2f %s", value, unit)
}
