// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

// newTable returns a table whose first columns are text and the others numbers.
func newTable(header table.Row, texts int) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	if os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	t.AppendHeader(header)
	var configs []table.ColumnConfig
	for column := texts + 1; column <= len(header); column++ {
		configs = append(configs, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	return t
}

// printed turns the result of printing for people into the run's error: a reader that has gone is no failure.
func printed(_ int, err error) error {
	if errors.Is(err, unix.EPIPE) {
		return exit.New(exit.ReaderGone, "reader_gone", "the reader of stdout went away")
	}
	return err
}

// harmless replaces what would act on a terminal: records come from anywhere, and their names are printed.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}
