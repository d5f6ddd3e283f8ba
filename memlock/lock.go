// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/anon"
	"memline/internal/cli"
	"memline/internal/exit"
	"memline/internal/guard"
	"memline/internal/kernel"
	"memline/internal/record"
	"memline/internal/undo"
)

// ready says that the memory is locked.
type ready struct {
	LockedBytes    int64    `json:"locked_bytes" doc:"memory locked and resident, checked against VmLck"`
	VmLckBytes     int64    `json:"vmlck_bytes" doc:"VmLck of this process" kernel:"/proc/PID/status"`
	WallNs         int64    `json:"wall_ns" doc:"time that locking took"`
	BytesPerSecond *float64 `json:"bytes_per_second" doc:"locked_bytes over wall_ns; null for nothing"`
}

// released says that the memory is free again.
type released struct {
	LockedBytes int64 `json:"locked_bytes" doc:"memory that was locked until then"`
	HeldNs      int64 `json:"held_ns" doc:"time from ready to the release; 0 where it never was ready"`
}

// holding is one run.
type holding struct {
	env     *cli.Env
	root    kernel.FS
	options *options
	plan    plan
	brake   *guard.Brake
	short   error // why a best effort is less than what was asked for
	locked  int64
	ready   time.Time // zero before
}

func work(ctx context.Context, env *cli.Env, o *options) (err error) {
	h := &holding{env: env, root: kernel.Root(), options: o}
	mem, err := h.root.Meminfo()
	if err != nil {
		return err
	}
	h.plan = makePlan(o, mem)
	first := start{Start: env.Start(h.root), options: *o, plan: h.plan}
	state, stateErr := undo.OpenDir(undo.DefaultDir)
	if stateErr == nil {
		path := state.Path()
		first.StateDir = &path
	}
	env.Emit("start", first)
	if stateErr != nil {
		env.Warn("no_state_dir", "without the undo journal: %v", stateErr)
	}
	if err := h.admit(mem); err != nil || o.DryRun {
		return err
	}
	if stateErr != nil {
		return h.run(ctx)
	}
	journal, err := undo.Open(state, h.root)
	if err != nil {
		return err
	}
	owner, err := undo.EnvOwner(h.root)
	if err != nil {
		return err
	}
	holder, err := journal.Hold(owner)
	if err != nil {
		return err
	}
	return errors.Join(h.run(ctx), holder.Undone())
}

// admit refuses a plan that this host has no room for now; a best effort takes the room there is.
func (h *holding) admit(m kernel.Meminfo) error {
	err := h.plan.admit(m)
	if err == nil || !h.options.BestEffort || h.plan.ReserveBytes < guard.MinReserve {
		return err
	}
	h.short = err
	h.plan.LockBytes = wholePages(max(m.AvailableBytes-h.plan.ReserveBytes, 0))
	return nil
}

// run locks, says ready, holds, and gives the memory back.
func (h *holding) run(ctx context.Context) error {
	if err := guard.Sacrifice(h.root); err != nil {
		return err
	}
	mem, err := h.root.Meminfo()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	region, err := anon.Map(h.plan.LockBytes, anon.Never)
	if err != nil {
		return err
	}
	h.env.Debugf("locking %d MiB; the guard brakes below %d MiB available", h.plan.LockBytes>>20, h.plan.FloorBytes>>20)
	h.brake, err = guard.NewBrake(h.root, guard.Limits{FloorBytes: h.plan.FloorBytes, PlannedBytes: h.plan.LockBytes,
		SwapFloorBytes: guard.SwapFloor(mem), Stall: true}, stop)
	if err != nil {
		return errors.Join(err, region.Unmap())
	}
	err = h.lock(ctx, region.Bytes())
	if err == nil {
		err = h.hold(ctx)
	}
	h.brake.Close()
	if unmapErr := region.Unmap(); unmapErr != nil {
		return errors.Join(err, unmapErr)
	}
	if h.locked == 0 {
		return err
	}
	r := released{LockedBytes: h.locked}
	if !h.ready.IsZero() {
		r.HeldNs = time.Since(h.ready).Nanoseconds()
	}
	h.env.Emit("released", r)
	return err
}

// lock locks chunk after chunk, each populated by the locking itself: filling first and locking later would have the
// memory swapped out in between.
func (h *holding) lock(ctx context.Context, mem []byte) error {
	before, err := h.root.Status(0)
	if err != nil {
		return err
	}
	short := h.short
	if err := h.limited(before.LockedBytes, int64(len(mem))); err != nil {
		if !h.options.BestEffort {
			return err
		}
		short = err
		mem = mem[:wholePages(max(*h.plan.LimitBytes-before.LockedBytes, 0))]
	}
	begun := time.Now()
	if err := h.lockChunks(ctx, mem); err != nil {
		if ctx.Err() != nil || !h.options.BestEffort {
			return err
		}
		short = err
	}
	took := time.Since(begun)
	now, err := h.root.Status(0)
	if err != nil {
		return err
	}
	if now.LockedBytes-before.LockedBytes < h.locked {
		return fmt.Errorf("%d bytes were locked, and VmLck counts %d; the kernel did not keep its word", h.locked, now.LockedBytes-before.LockedBytes)
	}
	if short != nil {
		h.env.Warn("short", "%d MiB are locked: %v", h.locked>>20, short)
	}
	h.ready = time.Now()
	h.env.Emit("ready", ready{LockedBytes: h.locked, VmLckBytes: now.LockedBytes, WallNs: took.Nanoseconds(),
		BytesPerSecond: h.rate(took)})
	return nil
}

// limited says in advance that RLIMIT_MEMLOCK is too small, so that nothing is locked in vain.
func (h *holding) limited(lockedBytes, wantedBytes int64) error {
	if limit := h.plan.LimitBytes; limit != nil && lockedBytes+wantedBytes > *limit {
		return exit.New(exit.Privilege, "rlimit_memlock",
			"RLIMIT_MEMLOCK is %d KiB and CAP_IPC_LOCK is missing; raise it with ulimit -l, run as root, or take what there is with --best-effort", *limit>>10)
	}
	return nil
}

func (h *holding) lockChunks(ctx context.Context, mem []byte) error {
	progress := h.env.Progress("lock", int64(len(mem)))
	defer progress.Done()
	h.brake.Growing(true)
	defer h.brake.Growing(false)
	for at := 0; at < len(mem); at += anon.Chunk {
		if ctx.Err() != nil {
			return fmt.Errorf("%w; %d of %d MiB had been locked", context.Cause(ctx), h.locked>>20, len(mem)>>20)
		}
		chunk := mem[at:min(at+anon.Chunk, len(mem))]
		h.brake.Grow(int64(len(chunk)))
		if err := anon.Lock(chunk); err != nil {
			return h.explain(err)
		}
		h.locked += int64(len(chunk))
		progress.Add(int64(len(chunk)))
	}
	return nil
}

// explain says what stopped the locking: the privilege or the memory.
func (h *holding) explain(err error) error {
	reached := h.locked >> 20
	switch {
	case errors.Is(err, unix.EPERM):
		return exit.New(exit.Privilege, "cap_ipc_lock", "%w after %d MiB; locking needs CAP_IPC_LOCK or a RLIMIT_MEMLOCK above 0 (ulimit -l)", err, reached)
	case errors.Is(err, unix.ENOMEM) && h.plan.LimitBytes != nil:
		return exit.New(exit.Privilege, "rlimit_memlock", "%w after %d MiB; RLIMIT_MEMLOCK is %d KiB, raise it with ulimit -l", err, reached, *h.plan.LimitBytes>>10)
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN):
		return exit.New(exit.Refused, "memory", "%w after %d MiB; memory ran out, ask for less", err, reached)
	}
	return err
}

// hold waits for the end: --hold, a signal, the guard, the time limit, or a reader that goes away.
func (h *holding) hold(ctx context.Context) error {
	var over <-chan time.Time
	if h.options.Hold.IsSet() {
		timer := time.NewTimer(h.options.Hold.Duration)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	if code, _ := exit.Code(cause); code == exit.Interrupted || code == exit.Terminated {
		return nil // who holds until a signal has done its work when it comes
	}
	return fmt.Errorf("%w; %d MiB were held", cause, h.locked>>20)
}

// rate is the bytes locked a second, nil where nothing was.
func (h *holding) rate(took time.Duration) *float64 {
	if h.locked == 0 {
		return nil
	}
	return record.Finite(float64(h.locked) / took.Seconds())
}
