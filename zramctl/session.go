// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"memline/internal/cli"
	"memline/internal/kernel"
	"memline/internal/undo"
	"memline/internal/zram"
)

// start is the first record: the command with the options that apply to it.
type start struct {
	cli.Start
	Command       string             `json:"command" doc:"the subcommand"`
	Status        *statusOptions     `json:"status_options,omitempty" doc:"options of status"`
	Create        *createOptions     `json:"create_options,omitempty" doc:"options of create"`
	Destroy       *destroyOptions    `json:"destroy_options,omitempty" doc:"options of destroy"`
	Compact       *compactOptions    `json:"compact_options,omitempty" doc:"options of compact"`
	Restore       *restoreOptions    `json:"restore_options,omitempty" doc:"options of restore"`
	Algorithms    *algorithmsOptions `json:"algorithms_options,omitempty" doc:"options of algorithms"`
	SizeBytes     *int64             `json:"size_bytes" doc:"size of the device to create; null for other commands"`
	MemLimitBytes *int64             `json:"mem_limit_bytes" doc:"most memory its pool may take; null without a limit and for other commands"`
	TableBytes    *int64             `json:"table_bytes" doc:"memory that the kernel takes for it at once, at most; null for other commands"`
}

// session is one invocation of zramctl.
type session struct {
	env  *cli.Env
	root kernel.FS
}

func work(ctx context.Context, env *cli.Env, root kernel.FS, command string, o *options) error {
	s := &session{env: env, root: root}
	first := start{Start: env.Start(root), Command: command}
	var do func() error
	switch command {
	case "create":
		creation, err := s.plan(o.Create)
		if err != nil {
			return err // before the first record: stdout stays empty
		}
		first.Create, first.SizeBytes, first.TableBytes = &o.Create, &creation.SizeBytes, &creation.tableBytes
		if creation.MemLimitBytes > 0 {
			first.MemLimitBytes = &creation.MemLimitBytes
		}
		do = func() error { return s.create(ctx, o.Create, creation) }
	case "destroy":
		first.Destroy = &o.Destroy
		do = func() error { return s.destroy(ctx, o.Destroy) }
	case "compact":
		first.Compact = &o.Compact
		do = func() error { return s.compact(o.Compact.Device) }
	case "algorithms":
		first.Algorithms = &o.Algorithms
		do = func() error { return s.algorithms(ctx, o.Algorithms.Wait.Duration) }
	case "restore":
		first.Restore = &o.Restore
		do = func() error { return s.restore(ctx, o.Restore) }
	default:
		first.Status = &o.Status
		do = func() error { return s.status(o.Status.Devices) }
	}
	env.Emit("start", first)
	return do()
}

func (s *session) openJournal() (*undo.Journal, error) {
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		return nil, err
	}
	return undo.Open(dir, s.root)
}

// locked opens zram and the journal and holds the host lock around f.
func (s *session) locked(ctx context.Context, wait time.Duration, f func(zram.Control, *undo.Journal) error) error {
	c, err := zram.Open(s.root)
	if err != nil {
		return err
	}
	dir, err := undo.OpenDir(undo.DefaultDir)
	if err != nil {
		return err
	}
	lock, err := dir.LockHost(ctx, wait)
	if err != nil {
		return err
	}
	defer lock.Release()
	j, err := undo.Open(dir, s.root)
	if err != nil {
		return err
	}
	return f(c, j)
}
