// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"memline/internal/exit"
	"memline/internal/undo"
	"memline/internal/zram"
)

// destroyed is a device that is gone.
type destroyed struct {
	Device string `json:"device" doc:"its name; the number may be somebody else's already"`
	TookNs int64  `json:"took_ns" doc:"time of swapoff, reset and removal"`
}

func (s *session) destroy(ctx context.Context, o destroyOptions) error {
	return s.locked(ctx, o.Wait.Duration, func(c zram.Control, j *undo.Journal) error {
		for _, name := range o.Devices {
			d, err := c.Parse(name)
			if err != nil {
				return err
			}
			change, err := d.Find(j)
			if err != nil {
				return err
			}
			if owner := change.Entry().Owner; !owner.Persistent && !change.Abandoned() && !isCaller(owner) {
				return exit.New(exit.Refused, "owned", "%s belongs to %s, which is running; let it end, or set MEMLINE_OWNER_PID=%d", d.Name(), owner, owner.PID)
			}
			begun := time.Now()
			if err := d.Destroy(ctx, change); err != nil {
				return err
			}
			s.env.Emit("destroyed", destroyed{Device: d.Name(), TookNs: time.Since(begun).Nanoseconds()})
		}
		return nil
	})
}

// isCaller reports whether this command runs on behalf of the owner: the process named in MEMLINE_OWNER_PID.
func isCaller(owner undo.Owner) bool {
	return os.Getenv(undo.OwnerEnv) == strconv.Itoa(owner.PID)
}

func (s *session) compact(name string) error {
	c, err := zram.Open(s.root)
	if err != nil {
		return err
	}
	d, err := c.Parse(name)
	if err != nil {
		return err
	}
	j, err := s.openJournal()
	if err != nil {
		return err
	}
	if _, err := d.Find(j); err != nil {
		return err
	}
	return d.Compact()
}
