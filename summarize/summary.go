// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/record"
)

// summary is one field of one group; its percentiles stand beside the other fields as p50, p99_9.
type summary struct {
	Field          string             `json:"field" doc:"the field summarized"`
	Group          map[string]*string `json:"group" doc:"value of each key grouped by; null for records without it"`
	Count          int64              `json:"count" doc:"numbers among the field's values"`
	Nulls          int64              `json:"nulls" doc:"values that were null: could not be measured"`
	NotNumbers     int64              `json:"not_number_count" doc:"values that were neither numbers nor null, or too large for a double"`
	Mean           *float64           `json:"mean" doc:"arithmetic mean"`
	Stddev         *float64           `json:"stddev" doc:"sample standard deviation; null of fewer than two numbers"`
	Min            *float64           `json:"min" doc:"smallest"`
	Max            *float64           `json:"max" doc:"largest"`
	QuantileMethod string             `json:"quantile_method" doc:"exact: nearest rank on up to 10,000 values; exp5: on a histogram, within 1.1 %" enum:"exact,exp5"`

	percentiles []percentile
	quantiles   []float64 // of the percentiles
}

// MarshalJSON puts the percentiles behind the other fields.
func (s summary) MarshalJSON() ([]byte, error) {
	type plain summary // without this method
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain(s)); err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - len("}\n"))
	for i, p := range s.percentiles {
		value, err := json.Marshal(record.Finite(s.quantiles[i]))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ",%q:%s", p.key(), value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// stats is the default command.
func stats(ctx context.Context, env *cli.Env, o *statsOptions) error {
	g := newGrouping(o.Fields, o.Groups)
	in := input{env: env, use: g.add}
	if err := in.readAll(ctx, o.Files); err != nil {
		return err
	}
	rows, missing := g.summaries(o.Percentile)
	for _, row := range rows {
		env.Emit("summary", row)
	}
	env.Emit("input", in.tally)
	if env.Table && len(rows) > 0 {
		if err := printSummaries(env, rows, o); err != nil {
			return err
		}
	}
	return errors.Join(in.verdict(), missing)
}

// summaries returns the groups of the first field, then those of the next, and an error that names fields without any
// number.
func (g *grouping) summaries(percentiles []percentile) (rows []summary, missing error) {
	groups := g.sorted()
	var without []string
	for i, field := range g.fields {
		var count, nulls, notNumbers int64
		for _, one := range groups {
			c := &one.columns[i]
			n := c.sample.Count()
			count, nulls, notNumbers = count+n, nulls+c.nulls, notNumbers+c.notNumbers
			if n+c.nulls+c.notNumbers > 0 {
				rows = append(rows, g.summary(field, one, c, percentiles))
			}
		}
		switch {
		case count > 0:
		case nulls+notNumbers == 0:
			without = append(without, fmt.Sprintf("%s was in no record", field))
		default:
			without = append(without, fmt.Sprintf("%s was never a number (null in %d records, something else in %d)", field, nulls, notNumbers))
		}
	}
	for i, key := range g.keys {
		if !g.seen[i] && len(groups) > 0 {
			without = append(without, fmt.Sprintf("the group key %s was in no record (a label's key is labels.NAME)", key))
		}
	}
	if len(without) > 0 {
		missing = exit.New(exit.Inconclusive, "field_never_seen", "%s; check the names against the tool's --schema", strings.Join(without, ", "))
	}
	return rows, missing
}

func (g *grouping) summary(field string, one *group, c *column, percentiles []percentile) summary {
	s := summary{
		Field: field, Group: map[string]*string{},
		Count: c.sample.Count(), Nulls: c.nulls, NotNumbers: c.notNumbers,
		Mean: record.Finite(c.mean), Stddev: record.Finite(c.stddev()),
		Min: record.Finite(c.sample.Min()), Max: record.Finite(c.sample.Max()),
		QuantileMethod: c.sample.Method(),
		percentiles:    percentiles,
	}
	if s.Count == 0 {
		s.Mean = nil
	}
	for i, key := range g.keys {
		s.Group[key] = one.values[i]
	}
	for _, p := range percentiles {
		s.quantiles = append(s.quantiles, c.sample.Quantile(p.value/100))
	}
	return s
}

func printSummaries(env *cli.Env, rows []summary, o *statsOptions) error {
	header := table.Row{"field"}
	for _, key := range o.Groups {
		header = append(header, strings.TrimPrefix(key, labelPrefix))
	}
	texts := len(header)
	header = append(header, "count", "nulls", "mean", "stddev", "min")
	for _, p := range o.Percentile {
		header = append(header, "p"+p.text)
	}
	header = append(header, "max")
	t := newTable(header, texts)
	for _, s := range rows {
		row := table.Row{s.Field}
		for _, key := range o.Groups {
			row = append(row, orDash(s.Group[key]))
		}
		row = append(row, s.Count, s.Nulls)
		for _, v := range []*float64{s.Mean, s.Stddev, s.Min} {
			row = append(row, quantity(s.Field, v))
		}
		for _, q := range s.quantiles {
			row = append(row, quantity(s.Field, record.Finite(q)))
		}
		t.AppendRow(append(row, quantity(s.Field, s.Max)))
	}
	return printed(fmt.Fprintln(env.Stdout, harmless(t.Render())))
}

// quantity writes a number for people, in the unit that its key ends with.
func quantity(key string, v *float64) string {
	switch {
	case v == nil:
		return "-"
	case strings.HasSuffix(key, "_ns"):
		return duration(*v)
	case strings.HasSuffix(key, "_bytes") && math.Abs(*v) < 1<<62:
		return cli.FormatBytes(int64(*v))
	case *v == math.Trunc(*v) && math.Abs(*v) < 1e15:
		return fmt.Sprintf("%.0f", *v)
	}
	return fmt.Sprintf("%.4g", *v)
}

// duration writes nanoseconds with three or four digits.
func duration(ns float64) string {
	value, unit := ns, "ns"
	for _, u := range []string{"µs", "ms", "s"} {
		if math.Abs(value) < 999.5 {
			break
		}
		value, unit = value/1000, u
	}
	switch {
	case unit == "ns" || math.Abs(value) >= 99.95:
		return fmt.Sprintf("%.0f %s", value, unit)
	case math.Abs(value) >= 9.995:
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.2f %s", value, unit)
}
