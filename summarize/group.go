// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"memline/internal/hist"
)

// grouping collects the fields' values by group.
type grouping struct {
	fields, keys []string
	picker       *picker
	groups       map[string]*group
	seen         []bool // keys that any record had
	packed       []byte // the key of the record in hand
}

// group is the records that agree in all keys.
type group struct {
	values  []*string // of the keys; nil where the records have no such key, or null
	columns []column  // of the fields
}

// column is one field of one group.
type column struct {
	sample     hist.Sample
	mean, m2   float64 // running mean and sum of squared differences from it (Welford 1962)
	nulls      int64
	notNumbers int64
}

func newGrouping(fields, keys []string) *grouping {
	return &grouping{
		fields: fields, keys: keys,
		picker: newPicker(slices.Concat(fields, keys)),
		groups: map[string]*group{},
		seen:   make([]bool, len(keys)),
	}
}

// add takes in a record and reports whether it had any of the fields.
func (g *grouping) add(line string) bool {
	g.picker.pick(line)
	fields, keys := g.picker.values[:len(g.fields)], g.picker.values[len(g.fields):]
	for i, key := range keys {
		g.seen[i] = g.seen[i] || key.Exists()
	}
	if !slices.ContainsFunc(fields, gjson.Result.Exists) {
		return false
	}
	columns := g.of(keys).columns
	for i, value := range fields {
		columns[i].add(value)
	}
	return true
}

// of returns the group of these key values, a new one where there is none yet.
func (g *grouping) of(keys []gjson.Result) *group {
	g.packed = g.packed[:0]
	for _, v := range keys {
		// The length in front keeps apart what a separator in a value could mix up.
		if v.Type == gjson.Null {
			g.packed = append(g.packed, '-')
			continue
		}
		text := v.String()
		g.packed = strconv.AppendInt(g.packed, int64(len(text)), 10)
		g.packed = append(append(g.packed, ':'), text...)
	}
	found := g.groups[string(g.packed)]
	if found == nil {
		found = &group{values: make([]*string, len(keys)), columns: make([]column, len(g.fields))}
		for i, v := range keys {
			if v.Type != gjson.Null {
				text := strings.Clone(v.String())
				found.values[i] = &text
			}
		}
		g.groups[string(g.packed)] = found
	}
	return found
}

func (c *column) add(value gjson.Result) {
	switch {
	case !value.Exists():
	case value.Type == gjson.Null:
		c.nulls++
	case value.Type != gjson.Number || !c.sample.Add(value.Num): // a number beyond a double is none either
		c.notNumbers++
	default:
		delta := value.Num - c.mean
		c.mean += delta / float64(c.sample.Count())
		c.m2 += delta * (value.Num - c.mean)
	}
}

// stddev is the sample standard deviation, NaN of fewer than two values.
func (c *column) stddev() float64 {
	if n := c.sample.Count(); n > 1 {
		return math.Sqrt(c.m2 / float64(n-1))
	}
	return math.NaN()
}

// sorted returns the groups in the order of their key values: numbers by size, everything else by text, missing ones
// first.
func (g *grouping) sorted() []*group {
	groups := make([]*group, 0, len(g.groups))
	for _, one := range g.groups {
		groups = append(groups, one)
	}
	slices.SortFunc(groups, func(a, b *group) int {
		for i := range a.values {
			if c := compareValues(a.values[i], b.values[i]); c != 0 {
				return c
			}
		}
		return 0
	})
	return groups
}

func compareValues(a, b *string) int {
	if a == nil || b == nil {
		return cmp.Compare(boolInt(a != nil), boolInt(b != nil))
	}
	x, errX := strconv.ParseFloat(*a, 64)
	y, errY := strconv.ParseFloat(*b, 64)
	if c := cmp.Compare(boolInt(errX != nil), boolInt(errY != nil)); c != 0 {
		return c
	}
	if c := cmp.Compare(x, y); errX == nil && c != 0 {
		return c
	}
	return strings.Compare(*a, *b)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
