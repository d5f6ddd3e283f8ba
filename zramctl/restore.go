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
	plan := undo.Plan{OwnerPID: o.OwnerPID, Wait: o.Wait.Duration, Reversers: map[string]undo.Reverser{
		cgroup.Kind: cgroup.Reverser(s.root),
	}}
	if c, err := zram.Open(s.root); err == nil {
		plan.Reversers[zram.Kind] = c.Reverser(j)
	}
	result, err := j.Restore(ctx, plan)
	for _, out := range result.Outcomes {
		r := undone{Kind: out.Kind, ID: out.ID, Owner: out.Owner.String(), Target: out.Target, TookNs: out.Took.Nanoseconds()}
		verb := "undone"
		if out.Err != nil {
			failed := out.Err.Error()
			r.Failed, verb = &failed, "FAILED"
		}
		s.env.Emit("undone", r)
		if s.env.Table {
			fmt.Fprintf(s.env.Stdout, "%s: %s %s, left by %s\n", verb, r.Kind, r.Target, r.Owner)
		}
	}
	for _, d := range result.Differences {
		s.env.Emit("difference", difference(d))
		if s.env.Table {
			fmt.Fprintf(s.env.Stdout, "differs: %s was %q, is %q\n", d.What, d.Was, d.Is)
		}
	}
	if s.env.Table && len(result.Outcomes) == 0 && err == nil {
		fmt.Fprintln(s.env.Stdout, "nothing to undo")
	}
	return err
}
