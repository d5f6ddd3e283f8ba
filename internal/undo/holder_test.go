// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"path/filepath"
	"strconv"
	"testing"

	"memline/internal/kernel"
)

// TestHolder kills the holders of a dead owner and nobody else, also those that share the host lock with it.
func TestHolder(t *testing.T) {
	j := openTest(t)
	dead, script := sleeper(t)
	alive, _ := sleeper(t)
	t.Setenv(OwnerEnv, strconv.Itoa(dead.PID))
	orphan := start(t, "hold")
	orphan.says(t, "holding")
	t.Setenv(OwnerEnv, strconv.Itoa(alive.PID))
	kept := start(t, "hold")
	kept.says(t, "holding")
	t.Setenv(OwnerEnv, "")
	// An entry whose number somebody else has now: nobody may be killed for it.
	stranger, _ := sleeper(t)
	reused := stranger.Process
	reused.StartTicks--
	c, err := j.Begin(dead, KindHolder, reused)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	lock, err := j.dir.LockHost(t.Context(), 0) // the orphan's kind of lock: killing needs none
	if err != nil {
		t.Fatal(err)
	}
	end(script)
	r, err := j.Restore(t.Context(), Plan{})
	lock.Release()
	if err != nil || len(r.Outcomes) != 2 {
		t.Errorf("Restore = %+v, %v, want two holders undone", r, err)
	}
	root := kernel.Root()
	if err := orphan.cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the orphan ended with %v, want to be killed", err)
	}
	if !root.Alive(stranger.Process) {
		t.Error("a process that only has the number of a holder was killed")
	}
	if p, err := root.Process(kept.cmd.Process.Pid); err != nil || !root.Alive(p) {
		t.Error("the holder of a living owner was killed")
	}
}

// TestHolderWithFence undoes what a holder owned itself, which only its killing abandons.
func TestHolderWithFence(t *testing.T) {
	j := openTest(t)
	files := t.TempDir()
	owner, script := sleeper(t)
	holder, _ := sleeper(t)
	if _, err := makeFile(j, holder, filepath.Join(files, "fence")); err != nil {
		t.Fatal(err)
	}
	c, err := j.Begin(owner, KindHolder, holder.Process)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	end(script)
	if r := restoreNow(t, j); len(r.Outcomes) != 2 {
		t.Errorf("Restore = %+v, want the holder and its fence", r)
	}
	wantClean(t, j, files)
}
