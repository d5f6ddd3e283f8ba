// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"memline/internal/cli"
	"memline/internal/codec"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/pages"
	"memline/internal/undo"
)

// start is the first record.
type start struct {
	cli.Start
	Command string         `json:"command" doc:"the subcommand"`
	Options *codecsOptions `json:"codecs_options,omitempty" doc:"options of codecs"`
	plan
	GoVersion string            `json:"go_version" doc:"compiler of the codecs"`
	Libraries map[string]string `json:"libraries" doc:"versions of the codec libraries, whose output may change with them; empty where the build does not say"`
}

// codecs is the command of that name.
func codecs(ctx context.Context, env *cli.Env, o codecsOptions) error {
	root := kernel.Root()
	mem, err := root.Meminfo()
	if err != nil {
		return err
	}
	p, err := o.plan(mem)
	if err != nil {
		return err
	}
	env.Emit("start", start{
		Start: env.Start(root), Command: "codecs", Options: &o, plan: p, GoVersion: runtime.Version(), Libraries: libraries(),
	})
	if o.DryRun {
		if env.Table {
			return printPlan(env.Stdout, o.Pattern, p)
		}
		return nil
	}
	if o.Reserve.IsSet() {
		if err := guard.CheckReserve("--reserve "+o.Reserve.String(), p.ReserveBytes); err != nil {
			return err
		}
	}
	if err := guard.Admit(p.MemoryBytes, p.ReserveBytes, mem); err != nil {
		return fmt.Errorf("--size %s takes memory twice, for the pages and for their stored forms: %w", o.Size, err)
	}
	lock, err := lockHost(ctx, env, o.Wait)
	if err != nil {
		return err
	}
	defer lock.Release()
	totals, err := compare(ctx, env, root, p)
	if err != nil {
		return err
	}
	return report(env, o.Pattern, p, totals)
}

// lockHost takes the host lock. A user who has no access to the state folder measures without it, and says so.
func lockHost(ctx context.Context, env *cli.Env, wait cli.Duration) (*undo.HostLock, error) {
	dir, err := undo.OpenDir(undo.DefaultDir)
	if code, _ := exit.Code(err); code == exit.Privilege {
		env.Warn("no_host_lock", "measuring without the host lock, so another memline run may disturb the figures: %v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lock, err := dir.LockHost(ctx, wait.Duration)
	if cause := cli.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	return lock, err
}

// compare measures each codec of the plan in every pass, in changing order, and returns the totals in the plan's order.
func compare(ctx context.Context, env *cli.Env, root kernel.FS, p plan) ([]*total, error) {
	coders := make([]coder, len(p.Codecs))
	for i, name := range p.Codecs {
		c, err := codec.New(name)
		if err != nil {
			return nil, err
		}
		coders[i] = c
	}
	if err := guard.Sacrifice(root); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	brake, err := guard.NewBrake(root, guard.Limits{
		FloorBytes: p.FloorBytes, PlannedBytes: p.MemoryBytes, Stall: true,
	}, stop)
	if err != nil {
		return nil, err
	}
	defer brake.Close()
	b, err := fill(ctx, env, brake, root, p)
	if err != nil {
		return nil, err
	}
	env.Debugf("guard: braking below %s available", cli.FormatBytes(p.FloorBytes))
	totals, err := b.passes(ctx, env, coders, p.Passes)
	return totals, errors.Join(err, b.close())
}

// fill makes the bench while the brake watches it grow.
func fill(ctx context.Context, env *cli.Env, brake *guard.Brake, root kernel.FS, p plan) (*bench, error) {
	progress := env.Progress("fill", p.SizeBytes)
	defer progress.Done()
	brake.Growing(true)
	defer brake.Growing(false)
	return newBench(ctx, root, p, func(bytes int64) {
		brake.Grow(2 * bytes) // the data, and as much room for the stored forms
		progress.Add(bytes)
	})
}

// passes runs the discarded pass and the measured ones. Each sample is written as soon as it is known.
func (b *bench) passes(ctx context.Context, env *cli.Env, coders []coder, passes int) ([]*total, error) {
	runtime.LockOSThread() // thread CPU time means nothing to a goroutine that moves
	defer runtime.UnlockOSThread()
	const bothWays = 2
	progress := env.Progress("codecs", bothWays*int64(len(b.lengths))*pages.PageSize*int64(len(coders))*int64(1+passes))
	defer progress.Done()
	for _, c := range coders { // warm-up
		if _, _, err := b.measure(ctx, c, progress.Add); err != nil {
			return nil, err
		}
	}
	totals := make([]*total, len(coders))
	for i := range totals {
		totals[i] = new(total)
	}
	done := 0
	for _, order := range orders(len(coders), passes) {
		for _, i := range order {
			f, l, err := b.measure(ctx, coders[i], progress.Add)
			if err != nil {
				return nil, err
			}
			done++
			env.Debugf("%d: %s stores %s in %s", done, f.Codec, cli.FormatBytes(f.OrigBytes), cli.FormatBytes(f.ComprBytes))
			env.Emit("sample", sample{figures: f, Order: done})
			totals[i].add(f, l)
		}
	}
	return totals, nil
}

// report writes the results, or the table of them.
func report(env *cli.Env, pattern string, p plan, totals []*total) error {
	base := totals[slices.Index(p.Codecs, floor)]
	var rows []result
	for _, t := range totals {
		r := t.result(p.Passes, base)
		env.Emit("result", r)
		rows = append(rows, r)
	}
	if env.Table {
		return printTable(env.Stdout, pattern, p, rows)
	}
	return nil
}

// libraries returns the versions of the modules that hold the codecs.
func libraries() map[string]string {
	versions := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.Contains(m.Path, "/compress") || strings.Contains(m.Path, "/lz4") {
				versions[m.Path] = m.Version
			}
		}
	}
	return versions
}
