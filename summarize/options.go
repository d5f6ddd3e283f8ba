// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"memline/internal/exit"
)

// percentile is a percentile as the user typed it: 50, 99.9.
type percentile struct {
	text  string // shortest form
	value float64
}

// percentilePattern matches the key of a percentile in a summary.
const percentilePattern = `^p[0-9]+(_[0-9]+)?$`

// UnmarshalText parses the percentile; kong calls it.
func (p *percentile) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is not a percentile; give a number from 0 to 100, such as 50 or 99.9", b)
	}
	p.text, p.value = strconv.FormatFloat(math.Abs(v), 'f', -1, 64), math.Abs(v)
	return nil
}

// key is the percentile's key in a record: p50, p99_9.
func (p percentile) key() string { return "p" + strings.ReplaceAll(p.text, ".", "_") }

// MarshalJSON writes the number.
func (p percentile) MarshalJSON() ([]byte, error) { return []byte(p.text), nil }

// SchemaType is the JSON type of a percentile option.
func (p percentile) SchemaType() string { return "number" }

// percent is a share as the user typed it, such as 10%.
type percent struct {
	text  string
	share float64
}

// UnmarshalText parses the share; kong calls it.
func (p *percent) UnmarshalText(b []byte) error {
	digits, ok := strings.CutSuffix(string(b), "%")
	v, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is not a share; give a number from 0 to 100 and %%, such as 10%%", b)
	}
	p.text, p.share = string(b), v/100
	return nil
}

// MarshalJSON writes what the user typed.
func (p percent) MarshalJSON() ([]byte, error) { return json.Marshal(p.text) }

// SchemaType is the JSON type of a share option.
func (p percent) SchemaType() string { return "string" }

// Limits that keep a record within its line.
const (
	maxPercentiles = 32
	maxKeyBytes    = 1024
)

func (o *options) validate(command string) error {
	if strings.HasPrefix(command, "rank") {
		return o.validateRank()
	}
	if len(o.Stats.Fields) == 0 {
		return exit.New(exit.Usage, "usage", "--field: name the field to summarize, such as latency_ns")
	}
	length := 0
	for _, key := range append(o.Stats.Fields, o.Stats.Groups...) {
		if key == "" || key == "labels." {
			return exit.New(exit.Usage, "usage", "--field and --group take the name of a key, such as latency_ns or labels.algorithm")
		}
		length += len(key)
	}
	if length > maxKeyBytes {
		return exit.New(exit.Usage, "usage", "--field and --group: the names take %d bytes together, at most %d fit a record", length, maxKeyBytes)
	}
	seen := map[string]bool{}
	unique := o.Stats.Percentile[:0]
	for _, p := range o.Stats.Percentile {
		if !seen[p.text] {
			unique = append(unique, p)
		}
		seen[p.text] = true
	}
	o.Stats.Percentile = unique
	if len(unique) > maxPercentiles {
		return exit.New(exit.Usage, "usage", "--percentile: %d percentiles, at most %d fit a record", len(unique), maxPercentiles)
	}
	return nil
}

func (o *options) validateRank() error {
	if f := o.Rank.ReadbackFactor; !(f >= 0) || math.IsInf(f, 0) {
		return exit.New(exit.Usage, "usage", "--readback-factor: %g is not a number of read-backs a page, 0 or more", f)
	}
	if o.Rank.MaxP99.IsSet() && o.Rank.MaxP99.Duration == 0 {
		return exit.New(exit.Usage, "usage", "--max-p99: 0 vetoes everything; give a time such as 50us")
	}
	if o.Rank.Emit != "" {
		if o.Output == "ndjson" {
			return exit.New(exit.Usage, "usage", "--emit prints settings instead of records; leave out -o ndjson")
		}
		o.Output = "table" // stdout is for people's text, the records go nowhere
	}
	return nil
}
