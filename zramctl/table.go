// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"memline/internal/cli"
)

// newTable returns a plain table: no rules, headers as written.
func newTable(headers ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.AppendHeader(headers)
	return t
}

func row(cells ...any) table.Row { return cells }

// print shows a table where people read.
func (s *session) print(t table.Writer) error {
	if !s.env.Table {
		return nil
	}
	t.SuppressTrailingSpaces()
	_, err := fmt.Fprintln(s.env.Stdout, t.Render())
	return err
}

func rightAligned(columns ...int) []table.ColumnConfig {
	var configs []table.ColumnConfig
	for _, column := range columns {
		configs = append(configs, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

const none = "-"

func size(n *int64) string {
	if n == nil {
		return none
	}
	return cli.FormatBytes(*n)
}

func twoDigits(r *float64) string {
	if r == nil {
		return none
	}
	return fmt.Sprintf("%.2f", *r)
}
