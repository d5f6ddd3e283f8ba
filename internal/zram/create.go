// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/undo"
)

// Kind is the journal's kind of a zram device.
const Kind = "zram"

// Plan is a device to make.
type Plan struct {
	SizeBytes     int64
	Algorithm     string // empty keeps the kernel's default
	MemLimitBytes int64  // 0 is no limit
	Swap          bool
	Priority      int
}

// Step is one write of a plan, in the order that the kernel wants.
type Step struct {
	Order int    `json:"order" doc:"position in the sequence, from 1"`
	Path  string `json:"path" doc:"file written, or the system call made"`
	Value string `json:"value" doc:"what is written; the device number N is known once hot_add has been read"`
}

// Steps is the ordered list of what Create does: the algorithm before the size, since the kernel refuses it afterwards.
func (p Plan) Steps() []Step {
	var steps []Step
	add := func(path, value string) {
		steps = append(steps, Step{Order: len(steps) + 1, Path: path, Value: value})
	}
	add("/"+hotAdd, "(read: makes zramN)")
	for _, w := range p.writes() {
		add("/sys/block/zramN/"+w.attr, w.value)
	}
	if p.Swap {
		add("/dev/zramN", "swap header with the journal's id as UUID")
		add("swapon(2)", fmt.Sprintf("/dev/zramN priority %d", p.Priority))
	}
	return steps
}

type attrWrite struct{ attr, value string }

func (p Plan) writes() []attrWrite {
	var w []attrWrite
	if p.Algorithm != "" {
		w = append(w, attrWrite{"comp_algorithm", p.Algorithm})
	}
	w = append(w, attrWrite{"disksize", strconv.FormatInt(p.SizeBytes, 10)})
	if p.MemLimitBytes > 0 {
		w = append(w, attrWrite{"mem_limit", strconv.FormatInt(p.MemLimitBytes, 10)})
	}
	return w
}

// trace is what the journal keeps of a device: before it is made, which disks there were; afterwards, which one it is.
type trace struct {
	Existing []int  `json:"existing"`         // numbers before hot_add
	Newest   uint64 `json:"newest"`           // highest disk sequence number before hot_add, 0 where the kernel has none
	Made     bool   `json:"made"`             // Number is known
	Number   int    `json:"number,omitempty"` //
	Sequence uint64 `json:"sequence,omitempty"`
	Headed   bool   `json:"headed,omitempty"` // the swap header is about to carry the journal's id, or does
}

// Create makes a device as planned, journalled for the owner. On failure nothing is left behind.
func (c Control) Create(ctx context.Context, j *undo.Journal, owner undo.Owner, plan Plan) (Device, error) {
	d, t, change, err := c.add(j, owner)
	if err != nil {
		return Device{}, privilege(err)
	}
	if err := d.setUp(ctx, plan, t, change); err != nil {
		// The clean-up goes on when the caller's time is up: leaving a device behind would be worse.
		undoErr := d.remove(context.WithoutCancel(ctx))
		if undoErr == nil {
			undoErr = change.Undone()
		}
		return Device{}, errors.Join(privilege(err), undoErr)
	}
	return d, nil
}

// add hot-adds a device under the journal's lock.
func (c Control) add(j *undo.Journal, owner undo.Owner) (d Device, t trace, change *undo.Change, err error) {
	existing, err := c.Devices()
	if err != nil {
		return d, t, nil, err
	}
	for _, e := range existing {
		t.Existing = append(t.Existing, e.Number)
		t.Newest = max(t.Newest, e.sequence())
	}
	change, err = j.BeginMade(owner, Kind, t, func() (any, error) {
		text, err := c.root.Text(hotAdd) // reading makes the device
		if err != nil {
			return nil, fmt.Errorf("adding a zram device: %w", err)
		}
		if t.Number, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("adding a zram device: hot_add said %q", text)
		}
		d = c.Device(t.Number)
		t.Made, t.Sequence = true, d.sequence()
		return t, nil
	})
	return d, t, change, err
}

func (d Device) setUp(ctx context.Context, plan Plan, t trace, change *undo.Change) error {
	for _, w := range plan.writes() {
		if err := d.configure(w.attr, w.value); err != nil {
			return d.explain(w, err)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	if plan.Swap {
		t.Headed = true
		if err := change.Update(t); err != nil {
			return err
		}
		if err := d.writeHeader(change.ID(), plan.SizeBytes); err != nil {
			return err
		}
		if err := d.swapon(plan.Priority); err != nil {
			return err
		}
	}
	return change.Settle(t)
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

// Find returns the journalled change that made this device, proved by the disk's sequence number and the swap header.
func (d Device) Find(j *undo.Journal) (*undo.Change, error) {
	live, err := j.Live()
	if err != nil {
		return nil, err
	}
	for _, change := range live {
		var t trace
		if change.Entry().Kind != Kind || change.Decode(&t) != nil || !t.Made || t.Number != d.Number {
			continue
		}
		if err := d.prove(change.ID(), t); err == nil {
			return change, nil
		}
	}
	return nil, exit.New(exit.Refused, "not_ours", "%s was not made by memline (no journal entry proves it); it is left alone", d.Name())
}

// prove checks that the device that has this number now is the journalled one.
func (d Device) prove(id string, t trace) error {
	if now := d.sequence(); t.Sequence != now {
		return fmt.Errorf("%s is disk %d now, the journal's was %d", d.Name(), now, t.Sequence)
	}
	on, _, err := d.swapUse()
	if err != nil {
		return err
	}
	if t.Sequence != 0 && !on {
		return nil // the sequence number alone is proof, and a device being set up or taken down has no header
	}
	if !t.Headed && on {
		return fmt.Errorf("%s is swapped on, and memline did not do that", d.Name())
	}
	if !t.Headed {
		return fmt.Errorf("this kernel has no disk sequence numbers, so nothing proves that %s is the journal's", d.Name())
	}
	got, err := d.headerID()
	if err != nil {
		return err
	}
	if got != id {
		return fmt.Errorf("the swap header of %s carries %s, the journal's is %s", d.Name(), got, id)
	}
	return nil
}

// Destroy takes a device of ours out of swap, resets and removes it.
func (d Device) Destroy(ctx context.Context, change *undo.Change) error {
	if err := change.Take(); err != nil {
		return err
	}
	if err := d.remove(ctx); err != nil {
		return privilege(err)
	}
	return change.Undone()
}

// remove is swapoff, reset, hot_remove, each retried while somebody (udev) has the device open.
func (d Device) remove(ctx context.Context) error {
	if err := d.swapoff(ctx); err != nil {
		return err
	}
	if d.Initialised() {
		if err := d.write("reset", "1"); err != nil {
			return fmt.Errorf("%w; close whatever has %s open and run zramctl restore", err, d.Node())
		}
	}
	path := d.root.Path(hotRemove)
	err := retry(transient, func() error { return writeFile(path, strconv.Itoa(d.Number)) })
	if err != nil {
		return fmt.Errorf("removing %s: %w; close whatever has %s open and run zramctl restore", d.Name(), unwrapPath(err), d.Node())
	}
	return nil
}

// Reverser undoes a journalled device for undo.Restore.
func (c Control) Reverser(j *undo.Journal) undo.Reverser {
	return func(ctx context.Context, change *undo.Change) (string, error) {
		var t trace
		if err := change.Decode(&t); err != nil {
			return "", err
		}
		if !t.Made {
			return c.removeUnexplained(ctx, j, t)
		}
		d := c.Device(t.Number)
		if !d.exists() || d.sequence() != t.Sequence {
			return d.Name() + " (gone)", nil
		}
		if err := d.prove(change.ID(), t); err != nil {
			if t.Sequence == 0 && !d.Initialised() {
				return d.Name(), d.remove(ctx) // no proof, and nothing in it: hot_remove refuses it if it is open
			}
			return d.Name() + " (left: " + err.Error() + ")", nil
		}
		return d.Name(), d.remove(ctx)
	}
}

// removeUnexplained handles a death between hot_add and the note of what it made: the device is new since the intent, is
// empty, and nobody has it open (hot_remove itself refuses otherwise). With two such devices none is provably ours.
func (c Control) removeUnexplained(ctx context.Context, j *undo.Journal, t trace) (string, error) {
	devices, err := c.Devices()
	if err != nil {
		return "", err
	}
	live, err := j.Live()
	if err != nil {
		return "", err
	}
	explained := map[uint64]bool{}
	for _, change := range live {
		var other trace
		if change.Entry().Kind == Kind && change.Decode(&other) == nil && other.Made {
			explained[other.Sequence] = true
		}
	}
	var found []Device
	for _, d := range devices {
		isNew := !slices.Contains(t.Existing, d.Number)
		if seq := d.sequence(); seq != 0 {
			isNew = seq > t.Newest && !explained[seq]
		}
		if isNew && !d.Initialised() {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return "zram device (not made)", nil
	case 1:
		return found[0].Name(), found[0].remove(ctx)
	}
	return "zram device", fmt.Errorf("%d new empty zram devices, of which one is memline's; remove the spare ones through hot_remove", len(found))
}

// Compact asks the allocator to give back what fragmentation holds.
func (d Device) Compact() error { return privilege(d.write("compact", "1")) }
