// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"memline/internal/exit"
)

// TestRestoreWaits does not wait for ever for what works for a dead owner.
func TestRestoreWaits(t *testing.T) {
	j := openTest(t)
	owner, script := sleeper(t)
	t.Setenv(OwnerEnv, strconv.Itoa(owner.PID))
	tool := start(t, "slow", filepath.Join(t.TempDir(), "x"))
	tool.says(t, "locked")
	tool.tell()
	tool.says(t, "begun")
	end(script)
	_, err := j.Restore(t.Context(), Plan{Wait: 20 * time.Millisecond, Reversers: reversers()})
	if code(err) != exit.Refused || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", tool.cmd.Process.Pid)) {
		t.Errorf("Restore beside a tool that holds the lock = %v, want code %d naming pid %d", err, exit.Refused, tool.cmd.Process.Pid)
	}
}

// TestRestoreNamed gives up what a living process owns, and nobody else's.
func TestRestoreNamed(t *testing.T) {
	j := openTest(t)
	files := t.TempDir()
	mine, _ := sleeper(t)
	other, _ := sleeper(t)
	for name, owner := range map[string]Owner{"mine": mine, "other": other, "persistent": Persistent()} {
		if _, err := makeFile(j, owner, filepath.Join(files, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := j.Restore(t.Context(), Plan{OwnerPID: mine.PID, Wait: time.Minute, Reversers: reversers()})
	if err != nil || len(r.Outcomes) != 1 || r.Outcomes[0].Owner != mine {
		t.Errorf("Restore of one owner = %+v, %v, want its one change", r, err)
	}
	var left []string
	entries, _ := os.ReadDir(files)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"other", "persistent"}, left); diff != "" {
		t.Errorf("left: -want +got\n%s", diff)
	}
}

// TestRestoreGoesOn keeps one stuck change from keeping the others, latest first, and tries it again the next time.
func TestRestoreGoesOn(t *testing.T) {
	j := openTest(t)
	owner, script := sleeper(t)
	var order []string
	stuck := true
	plan := Plan{Wait: time.Minute, Reversers: map[string]Reverser{testKind: func(_ context.Context, c *Change) (string, error) {
		var name string
		if err := c.Decode(&name); err != nil {
			return "", err
		}
		order = append(order, name)
		if name == "second" && stuck {
			return name, exit.New(exit.Refused, "busy", "stuck")
		}
		return name, nil
	}}}
	for _, name := range []string{"first", "second", "third"} {
		c, err := j.Begin(owner, testKind, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Settle(nil); err != nil {
			t.Fatal(err)
		}
	}
	unknown, err := j.Begin(owner, "from a later version", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := unknown.Settle(nil); err != nil {
		t.Fatal(err)
	}
	end(script)
	r, err := j.Restore(t.Context(), plan)
	if want := []string{"third", "second", "first"}; !slices.Equal(order, want) {
		t.Errorf("Restore reverses %q, want %q", order, want)
	}
	if err == nil || !strings.Contains(err.Error(), "restoring second: stuck") || !strings.Contains(err.Error(), "cannot undo") {
		t.Errorf("Restore = %v, want both failures", err)
	}
	if len(r.Outcomes) != 4 || len(r.Differences) != 0 {
		t.Errorf("Restore = %+v, want four outcomes and no comparison before all is undone", r)
	}
	wantLive(t, j, `file sleep "second"`, `from a later version sleep "x"`)
	stuck = false
	plan.Reversers["from a later version"] = plan.Reversers[testKind]
	if _, err := j.Restore(t.Context(), plan); err != nil {
		t.Errorf("the next Restore: %v", err)
	}
	wantLive(t, j)
	if n := snapshots(t, j); n != 0 {
		t.Errorf("%d snapshots left", n)
	}
}

// TestRestoreStopped leaves the rest for the next restore when it is told to stop.
func TestRestoreStopped(t *testing.T) {
	j := openTest(t)
	owner, script := sleeper(t)
	files := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if _, err := makeFile(j, owner, filepath.Join(files, name)); err != nil {
			t.Fatal(err)
		}
	}
	end(script)
	ctx, cancel := context.WithCancelCause(t.Context())
	told := errors.New("told to stop")
	plan := Plan{Wait: time.Minute, Reversers: map[string]Reverser{testKind: func(ctx context.Context, c *Change) (string, error) {
		cancel(told)
		return reversers()[testKind](ctx, c)
	}}}
	if r, err := j.Restore(ctx, plan); !errors.Is(err, told) || len(r.Outcomes) != 1 {
		t.Errorf("Restore that is stopped = %+v, %v, want one outcome and %v", r, err, told)
	}
	restoreNow(t, j)
	wantClean(t, j, files)
}

// TestRestoreConcurrent runs many restores at once: the changes are undone once, and nobody fails.
func TestRestoreConcurrent(t *testing.T) {
	j := openTest(t)
	owner, script := sleeper(t)
	files := t.TempDir()
	for n := range 20 {
		if _, err := makeFile(j, owner, filepath.Join(files, strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	end(script)
	var children []*child
	for range 6 {
		children = append(children, start(t, "restore"))
	}
	for _, c := range children {
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("a restore among others: %v", err)
		}
	}
	wantClean(t, j, files)
}

// TestAppendConcurrent lets several processes append and compact at once: nothing is lost, nothing comes back.
func TestAppendConcurrent(t *testing.T) {
	j := openTest(t)
	var children []*child
	for range 4 {
		children = append(children, start(t, "append"))
	}
	want := map[string]bool{}
	for _, c := range children {
		if err := c.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 60; n += 3 {
			want[fmt.Sprintf(`file  "%d.%d"`, c.cmd.Process.Pid, n)] = true
		}
	}
	got := map[string]bool{}
	for _, line := range live(t, j) {
		got[line] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after concurrent changes: -want +got\n%s", diff)
	}
}
