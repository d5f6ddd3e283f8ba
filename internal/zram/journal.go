// SPDX-License-Identifier: Apache-2.0

package zram

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo"
)

// Kind is the journal's kind of a zram device.
const Kind = "zram"

// trace is what the journal keeps of a device: before it is made, which disks there were; afterwards, which one it is.
type trace struct {
	Existing []int  `json:"existing"`           // numbers before hot_add
	Newest   uint64 `json:"newest"`             // highest disk sequence number before hot_add, 0 where the kernel has none
	Made     bool   `json:"made"`               // Number is known
	Number   int    `json:"number"`             //
	Sequence uint64 `json:"sequence,omitempty"` // 0 where the kernel has none
	Headed   bool   `json:"headed,omitempty"`   // the swap header is about to carry the journal's id, or does
}

// errNotIt says that the device that has a journalled number now is another one, or that nothing proves which one it is.
type errNotIt struct{ error }

// identify checks that the device that has this number now is the journalled one: by the kernel's disk sequence number,
// and by the swap header on kernels before 5.15, which have none.
func (d Device) identify(id string, t trace) error {
	now, err := d.sequence()
	if err != nil {
		return err
	}
	switch {
	case now != t.Sequence:
		return errNotIt{fmt.Errorf("%s is disk %d now, the journal's was %d", d.Name(), now, t.Sequence)}
	case now != 0:
		return nil
	case !t.Headed:
		return errNotIt{fmt.Errorf("this kernel has no disk sequence numbers, so nothing proves that %s is the journal's", d.Name())}
	}
	got, err := d.headerID()
	if err != nil {
		return err
	}
	if got != id {
		return errNotIt{fmt.Errorf("the swap header of %s is not the journal's", d.Name())}
	}
	return nil
}

// swappedByOthers refuses a device of ours that somebody else has made a swap area of his own.
func (d Device) swappedByOthers(id string, t trace) error {
	on, _, err := d.swapUse()
	if err != nil || !on {
		return err
	}
	if t.Headed {
		got, err := d.headerID()
		if err != nil && !errors.As(err, new(errNotIt)) {
			return err
		}
		if got == id {
			return nil
		}
	}
	return exit.New(exit.Refused, "device_busy", "%s is swapped on, and memline did not do that; swapoff it and try again", d.Node())
}

// Find returns the journalled change that made this device.
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
		switch err := d.identify(change.ID(), t); {
		case err == nil:
			return change, nil
		case !errors.As(err, new(errNotIt)):
			return nil, err
		}
	}
	return nil, exit.New(exit.Refused, "not_ours", "%s was not made by memline (no journal entry proves it); it is left alone", d.Name())
}

// Reverser undoes journalled devices for undo.Restore, also where zram has gone with its devices.
func Reverser(root kernel.FS, j *undo.Journal) undo.Reverser { return Control{root: root}.Reverser(j) }

// Reverser undoes journalled devices for undo.Restore.
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
		exists, err := d.exists()
		if err != nil {
			return d.Name(), err
		}
		if !exists {
			return d.Name() + " (gone)", nil
		}
		still := func() error { return d.identify(change.ID(), t) }
		if err := still(); errors.As(err, new(errNotIt)) {
			if t.Sequence != 0 {
				return d.Name() + " (gone: " + err.Error() + ")", nil
			}
			// Neither sequence number nor header: an empty device is no loss to anybody, any other is left.
			if still = d.stillEmpty(0); still() != nil {
				return d.Name() + " (left: " + err.Error() + ")", nil
			}
		} else if err != nil {
			return d.Name(), err
		}
		if err := d.swappedByOthers(change.ID(), t); err != nil {
			return d.Name(), err
		}
		return d.Name(), privilege(d.remove(ctx, still))
	}
}

// removeUnexplained handles a death between hot_add and the note of what it made. The kernel gives the lowest free number,
// so ours can only be the device of that number, newer than all there were, empty, and not opened by anybody.
func (c Control) removeUnexplained(ctx context.Context, j *undo.Journal, t trace) (string, error) {
	const notMade = "zram device (not made)"
	if t.Existing == nil { // no intent that add has written
		return notMade, nil
	}
	for slices.Contains(t.Existing, t.Number) {
		t.Number++
	}
	d := c.Device(t.Number)
	exists, err := d.exists()
	if err != nil || !exists {
		return notMade, err
	}
	seq, err := d.sequence()
	if err != nil {
		return d.Name(), err
	}
	if seq != 0 && seq <= t.Newest {
		return notMade, nil
	}
	live, err := j.Live()
	if err != nil {
		return d.Name(), err
	}
	for _, change := range live {
		var other trace
		if change.Entry().Kind == Kind && change.Decode(&other) == nil && other.Made && other.Number == t.Number && other.Sequence == seq {
			return notMade, nil
		}
	}
	still := d.stillEmpty(seq)
	switch err := still(); {
	case errors.As(err, new(errNotIt)):
		return notMade, nil
	case err != nil:
		return d.Name(), err
	}
	return d.Name(), privilege(d.remove(ctx, still))
}

// stillEmpty returns the check that the device is still this disk, and that nobody has set it up.
func (d Device) stillEmpty(sequence uint64) func() error {
	return func() error {
		seq, err := d.sequence()
		switch {
		case err != nil:
			return err
		case seq != sequence || d.Initialised():
			return errNotIt{fmt.Errorf("%s is somebody else's now", d.Name())}
		}
		return nil
	}
}
