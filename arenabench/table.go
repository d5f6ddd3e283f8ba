// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"memline/internal/cli"
)

// printTable writes the results for people, in the order of the plan.
func printTable(w io.Writer, pattern string, p plan, rows []result) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	header := table.Row{"codec", "ratio", "p10", "p50", "p90", "out us/page", "in us/page", "raw", "huge", "verified"}
	t.AppendHeader(header)
	configs := []table.ColumnConfig{}
	for column := 2; column <= len(header); column++ {
		configs = append(configs, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	for _, r := range rows {
		t.AppendRow(table.Row{r.Codec, twoDigits(r.CodecRatio), twoDigits(r.P10Ratio), twoDigits(r.P50Ratio), twoDigits(r.P90Ratio),
			microseconds(r.PageCompressCPUNs), microseconds(r.PageDecompressCPUNs),
			percent(r.RawPages, r.Pages), percent(r.HugePages, r.Pages), r.VerifiedPages})
	}
	if os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	_, err := fmt.Fprintf(w, "%s of %s pages, %s; CPU time of one 4 KiB page out and in; raw is a copy, the floor\n%s\n",
		cli.FormatBytes(p.SizeBytes), pattern, times(p.Passes, "pass", "passes"), t.Render())
	return err
}

// printPlan writes what a run would do.
func printPlan(w io.Writer, pattern string, p plan) error {
	_, err := fmt.Fprintf(w, "%s of %s pages (%d), %s over %s after a warm-up, %s of memory\n",
		cli.FormatBytes(p.SizeBytes), pattern, p.Pages, times(p.Passes, "pass", "passes"),
		strings.Join(p.Codecs, ", "), cli.FormatBytes(p.MemoryBytes))
	return err
}

func times(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func twoDigits(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *v)
}

func microseconds(ns *float64) string {
	if ns == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *ns/1e3)
}

func percent(part, whole int64) string {
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(max(whole, 1)))
}
