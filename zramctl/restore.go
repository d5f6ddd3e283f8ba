// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"memline/internal/cgroup"
	"memline/internal/undo"
	"memline/internal/zram"
)

// undone is one change of a dead owner.
type undone struct {
	Kind   string  `json:"kind" doc:"what was changed: zram, cgroup, value, holder"`
	ID     string  `json:"id" doc:"the journal's id, also the UUID in a swap header"`
	Owner  string  `json:"owner" doc:"who left it"`
	Target string  `json:"target" doc:"device, folder, setting or process"`
	TookNs int64   `json:"took_ns" doc:"time it took to undo"`
	Failed *string `json:"failed" doc:"why it could not be undone, with the next step; null when it was"`
}

// difference is the host's state against the snapshot from before the dead owner's first change.
type difference struct {
	What string `json:"what" doc:"swap area, zram device, zswap parameter or sysctl"`
	Was  string `json:"was" doc:"before; empty for absent"`
	Is   string `json:"is" doc:"now; empty for absent"`
}

func (s *session) restore(ctx context.Context, o restoreOptions) error {
	j, err := s.openJournal()
	if err != nil {
		return err
	}
	result, err := j.Restore(ctx, undo.Plan{OwnerPID: o.OwnerPID, Wait: o.Wait.Duration, Reversers: map[string]undo.Reverser{
		zram.Kind:   zram.Reverser(s.root, j),
		cgroup.Kind: cgroup.Reverser(s.root),
	}})
	for _, out := range result.Outcomes {
		s.report(out)
	}
	for _, d := range result.Differences {
		s.env.Emit("difference", difference(d))
		s.say("not as before: %s: was %s, is %s", d.What, orAbsent(d.Was), orAbsent(d.Is))
	}
	if len(result.Outcomes) == 0 && err == nil {
		s.say("nothing to undo")
	}
	return err
}

func (s *session) report(out undo.Outcome) {
	r := undone{Kind: out.Kind, ID: out.ID, Owner: out.Owner.String(), Target: out.Target, TookNs: out.Took.Nanoseconds()}
	if out.Err != nil {
		failed := out.Err.Error()
		r.Failed = &failed
		s.say("not undone: %s left by %s: %s", r.Kind, r.Owner, failed)
	} else {
		s.say("undone: %s, left by %s", r.Target, r.Owner)
	}
	s.env.Emit("undone", r)
}

// say prints a line where people read.
func (s *session) say(format string, args ...any) {
	if s.env.Table {
		fmt.Fprintf(s.env.Stdout, format+"\n", args...)
	}
}

func orAbsent(text string) string {
	if text == "" {
		return "absent"
	}
	return text
}
