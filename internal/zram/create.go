// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/undo"
)

// Create makes a device as planned, journalled, and hands it to the owner. On failure nothing is left behind.
func (c Control) Create(ctx context.Context, j *undo.Journal, owner undo.Owner, plan Plan) (Device, error) {
	d, change, err := c.Make(ctx, j, owner, plan)
	if err != nil {
		return Device{}, err
	}
	if err := change.Settle(nil); err != nil {
		return Device{}, errors.Join(err, d.Destroy(context.WithoutCancel(ctx), change))
	}
	return d, nil
}

// Make is Create without the last step: the device is the calling process's until the change is settled, so that one that
// nobody was told of does not outlive it. On failure nothing is left behind.
func (c Control) Make(ctx context.Context, j *undo.Journal, owner undo.Owner, plan Plan) (Device, *undo.Change, error) {
	d, change, err := c.add(j, owner)
	if err == nil {
		err = d.setUp(ctx, plan, change)
	}
	if err == nil {
		return d, change, nil
	}
	err = privilege(err)
	if change != nil {
		// The clean-up goes on when the caller's time is up: leaving a device behind would be worse. It needs no proof of
		// whose the device is, having just made it.
		undoErr := d.remove(context.WithoutCancel(ctx), func() error { return nil })
		err = errors.Join(err, undoErr)
		if undoErr == nil {
			err = errors.Join(err, change.Undone())
		}
	}
	return Device{}, nil, err
}

// add hot-adds a device under the journal's lock.
func (c Control) add(j *undo.Journal, owner undo.Owner) (d Device, change *undo.Change, err error) {
	var t trace
	intent := func() (any, error) {
		existing, err := c.Devices()
		if err != nil {
			return nil, err
		}
		t.Existing = []int{} // none is not the same as not known
		for _, e := range existing {
			seq, err := e.sequence()
			if err != nil {
				return nil, err
			}
			t.Existing = append(t.Existing, e.Number)
			t.Newest = max(t.Newest, seq)
		}
		return t, nil
	}
	change, err = j.BeginMade(owner, Kind, intent, func() (any, error) {
		text, err := c.root.Text(hotAdd) // reading makes the device
		if err != nil {
			return nil, fmt.Errorf("adding a zram device: %w", err)
		}
		if t.Number, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("adding a zram device: hot_add said %q", text)
		}
		d, t.Made = c.Device(t.Number), true
		if t.Sequence, err = d.sequence(); err != nil { // nothing would prove later that it is ours
			return nil, errors.Join(err, d.remove(context.Background(), func() error { return nil }))
		}
		return t, nil
	})
	return d, change, err
}

func (d Device) setUp(ctx context.Context, plan Plan, change *undo.Change) error {
	for _, w := range plan.writes() {
		if err := d.configure(w.attr, w.value); err != nil {
			return d.explain(w, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !plan.Swap {
		return nil
	}
	var t trace
	if err := change.Decode(&t); err != nil {
		return err
	}
	t.Headed = true
	if err := change.Update(t); err != nil {
		return err
	}
	if err := d.writeHeader(ctx, change.ID(), plan.SizeBytes); err != nil {
		return err
	}
	return d.swapon(ctx, plan.Priority)
}

// explain says what a refused write means.
func (d Device) explain(w attrWrite, err error) error {
	switch {
	case w.attr == "comp_algorithm" && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT)):
		offered, _, _ := d.Algorithms()
		return exit.New(exit.Unsupported, "algorithm", "this kernel's zram has no algorithm %q; it offers %s", w.value, strings.Join(offered, ", "))
	case w.attr == "disksize" && errors.Is(err, unix.ENOMEM):
		return exit.New(exit.Refused, "memory", "the kernel has no memory for a zram device of %s bytes (%w); ask for a smaller one", w.value, err)
	case w.attr == "disksize" && errors.Is(err, unix.EINVAL):
		return exit.New(exit.Unsupported, "algorithm", "the kernel cannot set up this device (%w); its algorithm may need a module that is not there", err)
	}
	return err
}

// Compact asks the allocator to give back what fragmentation holds.
func (d Device) Compact() error { return privilege(d.write("compact", "1")) }
