// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/undo"
	"memline/internal/zram"
)

// ready says that a device can be used.
type ready struct {
	Device        string `json:"device" doc:"its path"`
	Algorithm     string `json:"algorithm" doc:"the compressor in use" kernel:"comp_algorithm"`
	DisksizeBytes int64  `json:"disksize_bytes" doc:"its size" kernel:"disksize"`
	SwapOn        bool   `json:"swap_on" doc:"swapped on"`
	Owner         string `json:"owner" doc:"whose end makes it fair game for restore, or persistent"`
}

// diskOverhead is the memory that the kernel takes for the slot table of a device whether or not anything is stored:
// 16 bytes a page, and never less than this share is asked to be free.
const diskOverhead = 256

// plan is what to make, with every size in bytes.
func (o createOptions) plan(memTotal int64) zram.Plan {
	page := int64(4096)
	return zram.Plan{
		SizeBytes:     o.Size.Of(memTotal) / page * page,
		Algorithm:     o.Algorithm,
		MemLimitBytes: o.MemLimit.Of(memTotal),
		Swap:          o.Swap,
		Priority:      o.Priority,
	}
}

func (s *session) create(ctx context.Context, o createOptions, plan zram.Plan, memTotal int64) error {
	if o.DryRun {
		for _, step := range plan.Steps() {
			s.env.Emit("write", step)
			if s.env.Table {
				fmt.Fprintf(s.env.Stdout, "%d  %-36s %s\n", step.Order, step.Path, step.Value)
			}
		}
		return nil
	}
	mem, err := s.root.Meminfo()
	if err != nil {
		return err
	}
	if plan.SizeBytes/diskOverhead > mem.AvailableBytes {
		return exit.New(exit.Refused, "memory", "the slot table alone of a %s device takes about %s, and %s are available; ask for a smaller one",
			cli.FormatBytes(plan.SizeBytes), cli.FormatBytes(plan.SizeBytes/diskOverhead), cli.FormatBytes(mem.AvailableBytes))
	}
	owner := undo.Persistent()
	if o.OwnerPID != 0 {
		if owner, err = undo.OwnerOf(s.root, o.OwnerPID); err != nil {
			return exit.New(exit.Usage, "usage", "--owner-pid: %w", err)
		}
	}
	return s.locked(ctx, o.Wait.Duration, func(c zram.Control, j *undo.Journal) error {
		d, err := c.Create(ctx, j, owner, plan)
		if err != nil {
			return err
		}
		stats, _ := d.Stats()
		r := ready{Device: d.Node(), Algorithm: stats.Algorithm, DisksizeBytes: stats.DisksizeBytes, SwapOn: stats.SwapOn, Owner: owner.String()}
		s.env.Emit("ready", r)
		if s.env.Table {
			fmt.Fprintln(s.env.Stdout, r.Device)
		}
		return nil
	})
}
