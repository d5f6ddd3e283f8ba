// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"memline/internal/cli"
	"memline/internal/undo"
	"memline/internal/zram"
)

// device is the record of one zram device.
type device struct {
	zram.Stats
	Owner *string `json:"owner" doc:"who the journal says made it; null for a device that memline did not make"`
}

func (s *session) status(names []string) error {
	c, err := zram.Open(s.root)
	if err != nil {
		return err
	}
	devices, err := c.Devices()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		devices = devices[:0]
		for _, name := range names {
			d, err := c.Parse(name)
			if err != nil {
				return err
			}
			devices = append(devices, d)
		}
	}
	// Reading needs no journal; without one no owner is known.
	journal, _ := s.openJournal()
	var rows []device
	for _, d := range devices {
		stats, unread := d.Stats()
		for _, err := range unread {
			s.env.Warn("unread", "%v; the fields from it are null", err)
		}
		row := device{Stats: stats, Owner: s.ownerOf(journal, d)}
		s.env.Emit("device", row)
		rows = append(rows, row)
	}
	if s.env.Table {
		return printTable(s.env.Stdout, rows)
	}
	return nil
}

func (s *session) ownerOf(journal *undo.Journal, d zram.Device) *string {
	if journal == nil {
		return nil
	}
	change, err := d.Find(journal)
	if err != nil {
		return nil
	}
	owner := change.Entry().Owner.String()
	return &owner
}

func printTable(w io.Writer, rows []device) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.AppendHeader(table.Row{"device", "algorithm", "size", "data", "compressed", "memory", "codec ratio", "pool ratio", "swap", "owner"})
	configs := []table.ColumnConfig{}
	for column := 3; column <= 8; column++ {
		configs = append(configs, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	for _, r := range rows {
		swap, owner := "-", "-"
		if r.SwapOn {
			swap = fmt.Sprintf("priority %d", *r.SwapPriority)
		}
		if r.Owner != nil {
			owner = *r.Owner
		}
		t.AppendRow(table.Row{r.Device, r.Algorithm, cli.FormatBytes(r.DisksizeBytes), size(r.OrigDataSize),
			size(r.ComprDataSize), size(r.MemUsedTotal), twoDigits(r.CodecRatio), twoDigits(r.PoolRatio), swap, owner})
	}
	if os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

func size(n *int64) string {
	if n == nil {
		return "-"
	}
	return cli.FormatBytes(*n)
}

func twoDigits(r *float64) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *r)
}
