// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"memline/internal/kernel"
)

// Reverser undoes one change and names what it was about, for the report. A change already gone is no error.
type Reverser func(ctx context.Context, c *Change) (target string, err error)

// Outcome is what became of one abandoned change.
type Outcome struct {
	Kind   string
	ID     string
	Owner  Owner
	Target string
	Took   time.Duration
	Err    error
}

// Plan says what Restore may undo and how.
type Plan struct {
	// OwnerPID also gives up the changes of this living process: a script's own clean-up. 0 for none.
	OwnerPID int
	// Wait is how long to wait for the host lock.
	Wait time.Duration
	// Reversers by kind, beyond values and holders.
	Reversers map[string]Reverser
}

// Restored is the result of a restore.
type Restored struct {
	Outcomes    []Outcome
	Differences []Difference // against the snapshots of the owners that are gone
}

// Restore undoes what dead owners left: it kills their holders of test memory, takes the host lock, reverses the other
// changes latest first, and compares with the saved snapshots. It goes on after a failure, so that one stuck device does
// not keep the others; the failures come joined.
func (j *Journal) Restore(ctx context.Context, plan Plan) (Restored, error) {
	var result Restored
	reversers := map[string]Reverser{KindValue: ReverseValue(j.root), KindHolder: ReverseHolder(j.root)}
	for kind, r := range plan.Reversers {
		reversers[kind] = r
	}
	abandoned := func(c *Change) bool {
		return c.Abandoned() || plan.OwnerPID != 0 && c.entry.Owner.PID == plan.OwnerPID
	}
	live, err := j.Live()
	if err != nil {
		return result, err
	}
	var errs []error
	reverse := func(c *Change) {
		o := j.reverse(ctx, c, reversers[c.entry.Kind])
		result.Outcomes = append(result.Outcomes, o)
		if o.Err != nil {
			errs = append(errs, o.Err)
		}
	}
	// Holders go first and without the host lock: they may hold it themselves, inherited from a dead script.
	for _, c := range live {
		if c.entry.Kind == KindHolder && abandoned(c) {
			reverse(c)
		}
	}
	if !slices.ContainsFunc(live, func(c *Change) bool { return c.entry.Kind != KindHolder && abandoned(c) }) {
		return result, errors.Join(errs...)
	}
	lock, err := j.dir.LockHost(ctx, plan.Wait)
	if err != nil {
		return result, errors.Join(append(errs, err)...)
	}
	defer lock.Release()
	if live, err = j.Live(); err != nil { // what was half-done may have been finished while we waited
		return result, errors.Join(append(errs, err)...)
	}
	slices.Reverse(live)
	snapshots := map[kernel.Process]*Change{}
	for _, c := range live {
		switch {
		case !abandoned(c):
		case c.entry.Kind == kindSnapshot:
			snapshots[c.entry.Owner.Process] = c
		default:
			reverse(c)
		}
	}
	for _, c := range snapshots {
		diffs, err := j.compare(c)
		result.Differences = append(result.Differences, diffs...)
		errs = append(errs, err)
	}
	return result, errors.Join(errs...)
}

func (j *Journal) reverse(ctx context.Context, c *Change, r Reverser) Outcome {
	o := Outcome{Kind: c.entry.Kind, ID: c.entry.ID, Owner: c.entry.Owner}
	begun := time.Now()
	if r == nil {
		o.Err = fmt.Errorf("journal entry %s has the kind %q that this version cannot undo", c.entry.ID, c.entry.Kind)
		return o
	}
	o.Target, o.Err = r(ctx, c)
	if o.Err == nil {
		o.Err = c.Undone()
	} else {
		o.Err = fmt.Errorf("restoring %s: %w", o.Target, o.Err)
	}
	o.Took = time.Since(begun)
	return o
}

// compare holds a gone owner's snapshot against the host and ends it.
func (j *Journal) compare(c *Change) ([]Difference, error) {
	var was Snapshot
	if err := c.Decode(&was); err != nil {
		return nil, err
	}
	now, err := TakeSnapshot(j.root)
	if err != nil {
		return nil, err
	}
	return was.Diff(now), c.Undone()
}
