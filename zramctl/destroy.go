// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"slices"
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

// ours is a device with the change that made it.
type ours struct {
	zram.Device
	change *undo.Change
}

// destroy takes devices away, all or, where one of them may not be, none.
func (s *session) destroy(ctx context.Context, o destroyOptions) error {
	return s.locked(ctx, o.Wait.Duration, func(c zram.Control, j *undo.Journal) error {
		var devices []ours
		for _, name := range o.Devices {
			d, err := mayDestroy(c, j, name)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(devices, func(other ours) bool { return other.Number == d.Number }) {
				devices = append(devices, d)
			}
		}
		for _, d := range devices {
			begun := time.Now()
			if err := d.Destroy(ctx, d.change); err != nil {
				return err
			}
			s.env.Emit("destroyed", destroyed{Device: d.Name(), TookNs: time.Since(begun).Nanoseconds()})
		}
		return nil
	})
}

// mayDestroy finds a device that memline made and that no other process answers for.
func mayDestroy(c zram.Control, j *undo.Journal, name string) (ours, error) {
	d, err := c.Parse(name)
	if err != nil {
		return ours{}, err
	}
	change, err := d.Find(j)
	if err != nil {
		return ours{}, err
	}
	if owner := change.Entry().Owner; !owner.Persistent && !change.Abandoned() && !isCaller(owner) {
		return ours{}, exit.New(exit.Refused, "owned", "%s belongs to %s, which is running; let it end, or set %s=%d", d.Name(), owner, undo.OwnerEnv, owner.PID)
	}
	return ours{d, change}, nil
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
