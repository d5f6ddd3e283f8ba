// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"memline/internal/exit"
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
	// Wait is how long to wait for the host lock, and for what is still at work for a dead owner.
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
	r := &restore{journal: j, plan: plan, ctx: ctx, deadline: time.Now().Add(plan.Wait)}
	// Holders go first and without the host lock: they may hold it themselves, inherited from a dead script.
	err := r.killHolders()
	if err == nil {
		err = r.reverseLocked()
	}
	return r.result, errors.Join(append(r.failed, err, context.Cause(ctx))...)
}

// restore is one restore under way.
type restore struct {
	journal  *Journal
	plan     Plan
	ctx      context.Context
	deadline time.Time
	result   Restored
	failed   []error
}

// live reads the journal under its lock: who settles a change holds that lock while looking whether its owner lives, so a
// change that is not seen here is refused there.
func (r *restore) live() (live []*Change, err error) {
	err = r.journal.dir.withJournalLock(func() error {
		live, err = r.journal.Live()
		return err
	})
	return live, err
}

// givenUp reports whether nobody answers for the change any more.
func (r *restore) givenUp(c *Change) bool { return c.Abandoned() || r.named(c.entry.Owner) }

func (r *restore) named(o Owner) bool { return r.plan.OwnerPID != 0 && o.PID == r.plan.OwnerPID }

// atWork reports whether a process is still busy with the change for an owner that is dead or named.
func (r *restore) atWork(c *Change) bool {
	if r.givenUp(c) {
		return !c.entry.Owner.Persistent && !r.named(c.entry.Owner) && !r.journal.root.Gone(c.entry.Owner.Process)
	}
	return !c.Settled() && (!c.heir().alive(r.journal.root) || r.named(c.heir()))
}

// reverseLocked reverses all but holders under the host lock, which it leaves alone when there is nothing to reverse.
func (r *restore) reverseLocked() error {
	todo, err := r.anythingToDo()
	if err != nil || !todo || r.ctx.Err() != nil {
		return err
	}
	lock, err := r.journal.dir.LockHost(r.ctx, r.plan.Wait)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := r.killHolders(); err != nil { // that have come since
		return err
	}
	if err := r.awaitWorkers(); err != nil {
		return err
	}
	return r.reverseAll()
}

func (r *restore) killHolders() error {
	live, err := r.live()
	if err != nil {
		return err
	}
	for _, c := range live {
		if c.entry.Kind == KindHolder && r.givenUp(c) && r.ctx.Err() == nil {
			r.reverse(c)
		}
	}
	return nil
}

// justKilled is longer than a process looks alive after it has taken SIGKILL.
const justKilled = 5 * time.Millisecond

func (r *restore) anythingToDo() (bool, error) {
	for try := 0; ; try++ {
		live, err := r.live()
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(live, func(c *Change) bool { return c.entry.Kind != KindHolder && (r.givenUp(c) || r.atWork(c)) }) {
			return true, nil
		}
		if try > 0 || !slices.ContainsFunc(live, func(c *Change) bool { return !c.entry.Owner.Persistent }) {
			return false, nil
		}
		time.Sleep(justKilled)
	}
}

// awaitWorkers waits for the processes that still make or reverse something for an owner that is gone; they take it back
// themselves, or die. The host lock keeps them out unless they share it with the caller.
func (r *restore) awaitWorkers() error {
	for {
		live, err := r.live()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(live, r.atWork)
		if i < 0 {
			return nil
		}
		if !time.Now().Before(r.deadline) || r.ctx.Err() != nil {
			e := live[i].entry
			return exit.New(exit.Refused, "at_work", "%s is still at work on a %s of an owner that is gone; wait for it to end and run zramctl restore", e.Owner, e.Kind)
		}
		time.Sleep(justKilled)
	}
}

// reverseAll reverses everything given up, latest first, and compares with the snapshots.
func (r *restore) reverseAll() error {
	live, err := r.live()
	if err != nil {
		return err
	}
	var snapshots []*Change
	for _, c := range slices.Backward(live) {
		switch {
		case r.ctx.Err() != nil || !r.givenUp(c):
		case c.entry.Kind == kindSnapshot:
			snapshots = append(snapshots, c)
		default:
			r.reverse(c)
		}
	}
	if len(r.failed) > 0 || r.ctx.Err() != nil {
		return nil // the snapshots stay for the restore that succeeds
	}
	for _, c := range snapshots {
		diffs, err := r.journal.compare(c)
		if err != nil {
			return err
		}
		r.result.Differences = append(r.result.Differences, diffs...)
	}
	return nil
}

func (r *restore) reverse(c *Change) {
	o := r.journal.reverse(r.ctx, c, r.reverser(c.entry.Kind))
	r.result.Outcomes = append(r.result.Outcomes, o)
	if o.Err != nil {
		r.failed = append(r.failed, o.Err)
	}
}

func (r *restore) reverser(kind string) Reverser {
	if own, ok := r.plan.Reversers[kind]; ok {
		return own
	}
	switch kind {
	case KindValue:
		return ReverseValue(r.journal.root)
	case KindHolder:
		return ReverseHolder(r.journal.root)
	}
	return nil
}

func (j *Journal) reverse(ctx context.Context, c *Change, r Reverser) Outcome {
	o := Outcome{Kind: c.entry.Kind, ID: c.entry.ID, Owner: c.heir()}
	begun := time.Now()
	if r == nil {
		o.Err = fmt.Errorf("journal entry %s has the kind %q that this version cannot undo", c.entry.ID, c.entry.Kind)
		return o
	}
	// A living owner has been named to give it up; from here on nobody but restore answers for it.
	if o.Err = c.giveUp(); o.Err != nil {
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

// giveUp takes the change from a living owner.
func (c *Change) giveUp() error {
	if c.Abandoned() {
		return nil
	}
	return c.Take()
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
