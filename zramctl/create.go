// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
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

// creation is what create is going to do, with every size in bytes.
type creation struct {
	zram.Plan
	tableBytes int64
	owner      undo.Owner
	memory     kernel.Meminfo
}

// plan works out what to make. Its errors are the user's.
func (s *session) plan(o createOptions) (creation, error) {
	mem, err := s.root.Meminfo()
	if err != nil {
		return creation{}, err
	}
	page := int64(kernel.PageSize())
	c := creation{owner: undo.Persistent(), memory: mem, Plan: zram.Plan{
		SizeBytes:     o.Size.Of(mem.TotalBytes) / page * page,
		Algorithm:     o.Algorithm,
		MemLimitBytes: o.MemLimit.Of(mem.TotalBytes),
		Swap:          o.Swap,
		Priority:      o.Priority,
	}}
	c.tableBytes = c.TableBytes()
	switch least := zram.MinSwapBytes(); {
	case c.SizeBytes == 0:
		return c, exit.New(exit.Usage, "usage", "--size: %s is less than one page of %d bytes; give a size such as 2G or 25%%", o.Size, page)
	case o.Swap && c.SizeBytes < least:
		return c, exit.New(exit.Usage, "usage", "--size: %s is too small for a swap area, which takes at least %dK", o.Size, least>>10)
	}
	if o.OwnerPID != 0 {
		if c.owner, err = undo.OwnerOf(s.root, o.OwnerPID); err != nil {
			return c, exit.New(exit.Usage, "usage", "--owner-pid: %w", err)
		}
	}
	return c, nil
}

// admit refuses a device whose table alone would eat what the host needs: the kernel takes it whole, at once.
func (c creation) admit() error {
	reserve := guard.DefaultReserve(c.memory.TotalBytes)
	if c.tableBytes+reserve <= c.memory.AvailableBytes {
		return nil
	}
	return exit.New(exit.Refused, "memory",
		"the kernel takes up to %s at once for the table of a device of %s; with a reserve of %s that does not fit the %s available; ask for a smaller device",
		cli.FormatBytes(c.tableBytes), cli.FormatBytes(c.SizeBytes), cli.FormatBytes(reserve), cli.FormatBytes(c.memory.AvailableBytes))
}

func (s *session) create(ctx context.Context, o createOptions, c creation) error {
	if err := c.admit(); err != nil {
		return err
	}
	// Documentation/admin-guide/blockdev/zram.rst: little point in more than twice the memory.
	if c.SizeBytes > 2*c.memory.TotalBytes && c.MemLimitBytes == 0 {
		s.env.Warn("larger_than_memory", "a device of %s on %s of memory: pages that compress less than %.1f to 1 fill the memory before they fill the device; give --mem-limit or a smaller size",
			cli.FormatBytes(c.SizeBytes), cli.FormatBytes(c.memory.TotalBytes), float64(c.SizeBytes)/float64(c.memory.TotalBytes))
	}
	if o.DryRun {
		return s.dryRun(c.Plan)
	}
	return s.locked(ctx, o.Wait.Duration, func(control zram.Control, j *undo.Journal) error {
		d, change, err := control.Make(ctx, j, c.owner, c.Plan)
		if err != nil {
			return err
		}
		stats, _ := d.Stats()
		r := ready{Device: d.Node(), Algorithm: stats.Algorithm, DisksizeBytes: stats.DisksizeBytes, SwapOn: stats.SwapOn, Owner: c.owner.String()}
		s.env.Emit("ready", r)
		if s.env.Table {
			fmt.Fprintln(s.env.Stdout, r.Device)
		}
		// Only what its caller knows of may outlive this process: the device is handed over after that, and taken back
		// where the caller has gone or has told us to stop.
		err = cli.Cause(ctx)
		if err == nil {
			err = change.Settle(nil)
		}
		if err != nil {
			return errors.Join(err, d.Destroy(context.WithoutCancel(ctx), change))
		}
		return nil
	})
}

func (s *session) dryRun(plan zram.Plan) error {
	t := newTable("step", "file or call", "value")
	for _, step := range plan.Steps() {
		s.env.Emit("write", step)
		t.AppendRow(row(step.Order, step.Path, step.Value))
	}
	return s.print(t)
}
