// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"memline/internal/anon"
	"memline/internal/cgroup"
	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/gauge"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/undo"
)

// ready says that a phase is done and its pages are where it left them.
type ready struct {
	Phase    string `json:"phase" doc:"the phase that is done"`
	WaitsFor string `json:"waits_for" doc:"what ends the wait: a line on stdin (--pause-after), or the hold's time (--hold)" enum:"line,hold"`
}

// session is one run: the plan, and the memory that the phases work on.
type session struct {
	env      *cli.Env
	root     kernel.FS
	options  *options
	plan     plan
	brake    *guard.Brake
	sentinel *gauge.Sentinel
	mem      []byte
	workers  []*worker
	lines    chan struct{} // one for each line of stdin, closed at its end
}

func work(ctx context.Context, env *cli.Env, o *options) error {
	s := &session{env: env, root: kernel.Root(), options: o}
	c := s.claim(ctx)
	defer c.lock.Release()
	mem, err := s.root.Meminfo() // after the wait for the lock: percentages are of what is available now
	if err != nil {
		return err
	}
	swaps, err := s.root.Swaps()
	if err != nil {
		return err
	}
	if s.plan, err = makePlan(o, mem, swaps); err != nil {
		return err
	}
	first := start{Start: env.Start(s.root), options: *o, plan: s.plan}
	if c.stateErr == nil {
		path := c.state.Path()
		first.StateDir = &path
	}
	env.Emit("start", first)
	if c.stateErr != nil {
		env.Warn("no_state_dir", "without the host lock and the undo journal: %v", c.stateErr)
	}
	if c.err != nil {
		return c.err
	}
	if o.THP == string(anon.Always) && (first.Start.THP == nil || *first.Start.THP == "never") {
		return exit.New(exit.Unsupported, "no_thp",
			"--thp always: huge pages are off here; write madvise to /sys/kernel/mm/transparent_hugepage/enabled, or leave the option out")
	}
	if err := s.plan.admit(mem); err != nil || o.DryRun {
		return err
	}
	switch {
	case c.stateErr == nil:
		return s.journalled(ctx, c.state)
	case s.plan.MemoryLimitBytes != nil: // what cannot be journalled is not done
		return c.stateErr
	}
	return s.guarded(ctx)
}

// claim is what this process has of the host before it plans.
type claim struct {
	state    undo.Dir
	stateErr error // why there is no state directory
	lock     *undo.HostLock
	err      error // why the run cannot go on
}

// claim offers this process to the OOM killer, ties its life to its parent's, and takes the host lock. A dry run needs none
// of it.
func (s *session) claim(ctx context.Context) (c claim) {
	c.state, c.stateErr = undo.OpenDir(undo.DefaultDir)
	if s.options.DryRun {
		return c
	}
	if c.err = guard.Sacrifice(s.root); c.err != nil || c.stateErr != nil {
		return c
	}
	c.lock, c.err = c.state.LockHost(ctx, s.options.Wait.Duration)
	if ctx.Err() != nil { // what ended the wait says more than the lock that was waited for
		c.err = fmt.Errorf("%w while waiting for the host lock", context.Cause(ctx))
	}
	return c
}

// journalled registers this process as a holder of test memory and puts it behind its fence.
func (s *session) journalled(ctx context.Context, state undo.Dir) (err error) {
	journal, err := undo.Open(state, s.root)
	if err != nil {
		return err
	}
	owner, err := undo.EnvOwner(s.root)
	if err != nil {
		return err
	}
	holder, err := journal.Hold(owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, holder.Undone()) }()
	if s.plan.MemoryLimitBytes != nil {
		fence, err := cgroup.Enter(s.root, journal, cgroup.Limits{MemoryBytes: *s.plan.MemoryLimitBytes, SwapBytes: s.plan.Bytes})
		if err != nil {
			return err
		}
		for _, name := range fence.Unlimited {
			s.env.Warn("no_limit", "this kernel has no %s, so the fence does not limit swap", name)
		}
		return errors.Join(s.guarded(ctx), fence.Leave())
	}
	return s.guarded(ctx)
}

// guarded maps the memory and runs the phases under the brake.
func (s *session) guarded(ctx context.Context) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	mem, err := s.root.Meminfo()
	if err != nil {
		return err
	}
	limits := guard.Limits{FloorBytes: s.plan.FloorBytes, PlannedBytes: s.plan.Bytes}
	if s.plan.MemoryLimitBytes == nil { // behind a fence the process swaps on purpose
		limits.SwapFloorBytes, limits.Stall = guard.SwapFloor(mem), true
	}
	// Workers keep their CPUs, also while a page fault waits for swap; the brake and signals must not wait for them.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), s.options.Workers+2))
	region, err := anon.Map(s.plan.Bytes, anon.THP(s.options.THP))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, region.Unmap()) }()
	s.mem = region.Bytes()
	s.workers = share(s.mem, s.options.Workers)
	s.sentinel = gauge.NewSentinel()
	if s.brake, err = guard.NewBrake(s.root, limits, stop); err != nil {
		return err
	}
	defer s.brake.Close()
	return s.run(ctx)
}

// run goes through the phases of the plan.
func (s *session) run(ctx context.Context) error {
	phases := map[string]func(context.Context) error{
		phaseFill:     s.fill,
		phaseTouch:    func(ctx context.Context) error { return s.touch(ctx, phaseTouch, s.options.Touch) },
		phaseHold:     s.hold,
		phasePageout:  s.pageout,
		phaseReadback: func(ctx context.Context) error { return s.touch(ctx, phaseReadback, s.options.Readback) },
		phaseVerify:   s.verify,
	}
	for _, name := range s.plan.Phases {
		if ctx.Err() != nil {
			return fmt.Errorf("%w before %s", context.Cause(ctx), name)
		}
		s.env.Debugf("phase %s", name)
		if err := phases[name](ctx); err != nil {
			return err
		}
		if slices.Contains(s.options.PauseAfter, name) {
			if err := s.pause(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits for a line on stdin, or its end.
func (s *session) pause(ctx context.Context, phase string) error {
	if s.lines == nil {
		s.lines = make(chan struct{})
		go func() {
			defer close(s.lines)
			for lines := bufio.NewScanner(s.env.Stdin); lines.Scan(); {
				s.lines <- struct{}{}
			}
		}()
	}
	s.env.Emit("ready", ready{phase, "line"})
	select {
	case <-s.lines:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w in the pause after %s", context.Cause(ctx), phase)
	}
}
