// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"memline/internal/exit"
	"memline/internal/kernel"
)

func TestLife(t *testing.T) {
	j := openTest(t)
	owner, _ := sleeper(t)
	c, err := j.Begin(owner, testKind, "intent")
	if err != nil {
		t.Fatal(err)
	}
	me := self(t)
	wantLive(t, j, "file "+me.Comm+` "intent"`) // the maker's until it is made
	if c.Settled() || c.Abandoned() {
		t.Errorf("a change being made: Settled = %t, Abandoned = %t, want false, false", c.Settled(), c.Abandoned())
	}
	if err := c.Update("half"); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+me.Comm+` "half"`)
	if err := c.Settle("made"); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, `file sleep "made"`)

	found, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	c = found[len(found)-1]
	if err := c.Take(); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+me.Comm+` "made"`)
	if err := c.Settle(nil); err != nil { // given back
		t.Fatal(err)
	}
	wantLive(t, j, `file sleep "made"`)
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
	wantLive(t, j)
	if text, err := os.ReadFile(j.dir.journalPath()); err != nil || len(text) != 0 {
		t.Errorf("journal after all is undone = %q, %v, want empty", text, err)
	}
}

// TestOwnerEnds follows a settled change through its owner's death: running, zombie, collected, number reused.
func TestOwnerEnds(t *testing.T) {
	j := openTest(t)
	owner, cmd := sleeper(t)
	c, err := j.Begin(owner, testKind, filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	if r := restoreNow(t, j); len(r.Outcomes) != 0 {
		t.Errorf("Restore beside the living owner = %+v, want nothing", r)
	}
	cmd.Process.Kill()
	for end := time.Now().Add(time.Minute); !kernel.Root().Gone(owner.Process); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the owner does not end")
		}
	}
	if !c.Abandoned() {
		t.Error("Abandoned with a zombie for an owner = false, want true")
	}
	cmd.Wait()
	// A later process with the owner's number is not the owner.
	c.entry.Owner = self(t)
	c.entry.Owner.StartTicks--
	if !c.Abandoned() {
		t.Error("Abandoned with another process of the owner's number = false, want true")
	}
	if r := restoreNow(t, j); len(r.Outcomes) != 1 {
		t.Errorf("Restore after the owner's end = %+v, want one outcome", r)
	}
	wantLive(t, j)
}

// TestDeadOwner refuses to make, and to hand over, anything for an owner that has ended: restore may have looked already.
func TestDeadOwner(t *testing.T) {
	j := openTest(t)
	owner, cmd := sleeper(t)
	c, err := j.Begin(owner, testKind, "x")
	if err != nil {
		t.Fatal(err)
	}
	end(cmd)
	if _, err := j.Begin(owner, testKind, "y"); code(err) != exit.Refused {
		t.Errorf("Begin for a dead owner = %v, want code %d", err, exit.Refused)
	}
	if err := c.Settle(nil); code(err) != exit.Refused {
		t.Errorf("Settle on a dead owner = %v, want code %d", err, exit.Refused)
	}
	if me := self(t); c.Entry().Owner.Process != me.Process {
		t.Errorf("after the refusal the change is %s's, want the maker's, %s", c.Entry().Owner, me)
	}
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
}

func code(err error) int {
	c, _ := exit.Code(err)
	return c
}

func TestBeginMade(t *testing.T) {
	j := openTest(t)
	c, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		wantLive(t, j, "file "+self(t).Comm+` "intent"`) // written down before it is made
		return "made", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLive(t, j, "file "+self(t).Comm+` "made"`)
	if err := c.Undone(); err != nil {
		t.Fatal(err)
	}
	if c, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		return nil, os.ErrPermission
	}); !errors.Is(err, os.ErrPermission) || c != nil {
		t.Errorf("BeginMade whose making fails = %v, %v, want %v", c, err, os.ErrPermission)
	}
	wantLive(t, j)
	if _, err := j.BeginMade(Persistent(), testKind, func() (any, error) { return nil, os.ErrInvalid }, func() (any, error) {
		t.Error("made after the intent failed")
		return nil, nil
	}); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("BeginMade whose intent fails = %v, want %v", err, os.ErrInvalid)
	}
	wantLive(t, j)
	// The journal goes away between the making and its note: the change comes back, for the caller to reverse.
	c, err = j.BeginMade(Persistent(), testKind, func() (any, error) { return "intent", nil }, func() (any, error) {
		return "made", os.Rename(j.dir.path, j.dir.path+".away")
	})
	if err == nil || c == nil {
		t.Errorf("BeginMade that cannot note what it made = %v, %v, want the change and an error", c, err)
	}
}

// TestTidyKeepsSnapshot keeps the snapshot of an owner for whom somebody is just making something.
func TestTidyKeepsSnapshot(t *testing.T) {
	j := openTest(t)
	owner, _ := sleeper(t)
	making, err := j.Begin(owner, testKind, "x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := j.Begin(Persistent(), testKind, "y")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Undone(); err != nil { // tidies
		t.Fatal(err)
	}
	if n := snapshots(t, j); n != 1 {
		t.Errorf("%d snapshots while a change is being made for the owner, want 1", n)
	}
	if err := making.Settle(nil); err != nil {
		t.Fatal(err)
	}
	again, err := j.Begin(owner, testKind, "z")
	if err != nil {
		t.Fatal(err)
	}
	if n := snapshots(t, j); n != 1 {
		t.Errorf("%d snapshots after the owner's second change, want 1: only the first tells how the host was", n)
	}
	for _, c := range []*Change{again, making} {
		if err := c.Undone(); err != nil {
			t.Fatal(err)
		}
	}
	if n := snapshots(t, j); n != 0 {
		t.Errorf("%d snapshots after the owner's last change, want 0", n)
	}
}

func snapshots(t *testing.T, j *Journal) (n int) {
	t.Helper()
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.entry.Kind == kindSnapshot {
			n++
		}
	}
	return n
}

func TestEnvOwner(t *testing.T) {
	t.Setenv(OwnerEnv, "")
	if o, err := EnvOwner(kernel.Root()); err != nil || o.PID != os.Getpid() {
		t.Errorf("EnvOwner without %s = %v, %v, want this process", OwnerEnv, o, err)
	}
	t.Setenv(OwnerEnv, "1")
	if o, err := EnvOwner(kernel.Root()); err != nil || o.PID != 1 || o.Comm == "" {
		t.Errorf("EnvOwner of 1 = %v, %v", o, err)
	}
	_, cmd := sleeper(t)
	end(cmd)
	for _, text := range []string{"x", "-1", "0", "1 ", strconv.Itoa(cmd.Process.Pid)} {
		t.Setenv(OwnerEnv, text)
		if o, err := EnvOwner(kernel.Root()); code(err) != exit.Usage {
			t.Errorf("EnvOwner of %q = %v, %v, want a usage error", text, o, err)
		}
	}
}
