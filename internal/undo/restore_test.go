// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
	"memline/internal/undo/undotest"
)

// wantClean fails the test unless nothing stands: no file of the test kind, no entry, no torn journal.
func wantClean(t testing.TB, j *Journal, files string) {
	t.Helper()
	left, err := os.ReadDir(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("left behind: %s", f.Name())
	}
	changes, err := j.Live()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		t.Errorf("the journal still holds %+v", c.entry)
	}
}

// TestKillEverywhere kills a process before each of its calls while it makes a change and undoes it; one restore, which is
// killed before each of its own calls too, puts everything back.
func TestKillEverywhere(t *testing.T) {
	j := openTest(t)
	files := t.TempDir()
	role := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "UNDO_TEST_ROLE="+name)
		return cmd
	}
	const opens = 3
	t.Run("work", func(t *testing.T) {
		undotest.KillBeforeEach(t, opens, func() *exec.Cmd { return role("work", files, "1") }, func(string) {
			restoreNow(t, j)
			wantClean(t, j, files)
		})
	})
	t.Run("restore", func(t *testing.T) {
		undotest.KillBeforeEach(t, opens, func() *exec.Cmd {
			if out, err := role("leave", files).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return role("restore")
		}, func(string) {
			restoreNow(t, j)
			wantClean(t, j, files)
		})
	})
}

// TestKillAtRandom kills a process that works as fast as it can, with and without its owner.
func TestKillAtRandom(t *testing.T) {
	j := openTest(t)
	files := t.TempDir()
	const kills = 40
	for n := range kills {
		script := func() {}
		if n%2 == 0 { // the owner is a script above, which dies as well
			owner, cmd := sleeper(t)
			t.Setenv(OwnerEnv, strconv.Itoa(owner.PID))
			script = func() { end(cmd) }
		} else {
			t.Setenv(OwnerEnv, "")
		}
		worker := start(t, "work", files, "0")
		worker.says(t, "working")
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
		worker.kill()
		script()
		restoreNow(t, j)
		wantClean(t, j, files)
		if t.Failed() {
			t.Fatalf("at kill %d", n)
		}
	}
}

// TestOrphan kills a script while its tool is at work, at each step. Restore waits for the tool to take back what nobody
// wants any more, and the tool begins nothing for the dead; also where the tool shares the host lock with the restore.
func TestOrphan(t *testing.T) {
	for _, test := range []struct {
		steps  int
		shared bool
		want   string
	}{{0, false, "refused"}, {1, false, "taken back"}, {2, false, "taken back"}, {1, true, "taken back"}, {2, true, "taken back"}} {
		t.Run(fmt.Sprintf("steps=%d,shared=%t", test.steps, test.shared), func(t *testing.T) {
			j := openTest(t)
			if test.shared {
				shareLock(t, j)
			}
			orphan(t, j, test.steps, test.want)
		})
	}
}

// shareLock makes this process and its children share the host lock.
func shareLock(t *testing.T, j *Journal) {
	t.Helper()
	lock, err := j.dir.LockHost(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fd)
		lock.Release()
	})
	t.Setenv(LockEnv, strconv.Itoa(fd))
}

func orphan(t *testing.T, j *Journal, steps int, want string) {
	t.Helper()
	files := t.TempDir()
	owner, script := sleeper(t)
	t.Setenv(OwnerEnv, strconv.Itoa(owner.PID))
	tool := start(t, "slow", filepath.Join(files, "x"))
	for _, step := range []string{"locked", "begun", "made"}[:steps+1] {
		if step != "locked" {
			tool.tell()
		}
		tool.says(t, step)
	}
	end(script)
	done := make(chan error, 1)
	go func() {
		_, err := j.Restore(context.Background(), Plan{Wait: time.Minute, Reversers: reversers()})
		done <- err
	}()
	if steps > 0 { // there is something to wait for
		select {
		case err := <-done:
			t.Fatalf("Restore is back (%v) while the tool is still at work", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for range 3 - steps {
		tool.tell()
	}
	for line := ""; line != want+"\n"; {
		var err error
		if line, err = tool.stdout.ReadString('\n'); err != nil {
			t.Fatalf("the tool never says %q", want)
		}
	}
	if err := <-done; err != nil {
		t.Fatalf("Restore: %v", err)
	}
	wantClean(t, j, files)
}

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

func TestSnapshotDiff(t *testing.T) {
	was := Snapshot{"a": "1", "b": "2", "c": "3"}
	now := Snapshot{"a": "1", "b": "x", "d": "4"}
	want := []Difference{{"b", "2", "x"}, {"c", "3", ""}, {"d", "", "4"}}
	if diff := cmp.Diff(want, was.Diff(now)); diff != "" {
		t.Errorf("Diff: -want +got\n%s", diff)
	}
	if diffs := was.Diff(was); diffs != nil {
		t.Errorf("Diff with itself = %+v, want none", diffs)
	}
}

func TestTakeSnapshot(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/swaps":                         "Filename Type Size Used Priority\n/dev/sda2 partition 1024 0 -2\n",
		"sys/block/zram0/disksize":           "4096\n",
		"sys/block/zram0/diskseq":            "7\n",
		"sys/block/zram1/disksize":           "0\n", // before Linux 5.15
		"sys/module/zswap/parameters/enable": "N\n",
		"proc/sys/vm/swappiness":             "60\n",
		"proc/sys/vm/unwatched":              "1\n",
	} {
		writeTo(t, filepath.Join(root, name), text)
	}
	got, err := TakeSnapshot(kernel.At(root))
	if err != nil {
		t.Fatal(err)
	}
	want := Snapshot{"swap /dev/sda2": "priority -2", "zram zram0": "disksize 4096 diskseq 7", "zram zram1": "disksize 0 diskseq",
		"zswap enable": "N", "sysctl vm.swappiness": "60"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("TakeSnapshot: -want +got\n%s", diff)
	}
}

// TestRestoreCompares tells what is not as it was before the dead owner's first change.
func TestRestoreCompares(t *testing.T) {
	j := openTest(t)
	root := sysctlRoot(t, "60")
	j.root = root
	owner, script := sleeper(t)
	linkProc(t, root, owner.PID)
	linkProc(t, root, os.Getpid())
	if _, err := j.SetValue(owner, "proc/sys/vm/swappiness", "100"); err != nil {
		t.Fatal(err)
	}
	writeTo(t, root.Path("proc/sys/vm/page-cluster"), "7\n") // somebody else's
	end(script)
	os.Remove(root.Path("proc", strconv.Itoa(owner.PID)))
	r, err := j.Restore(t.Context(), Plan{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Difference{{"sysctl vm.page-cluster", "3", "7"}}, r.Differences); diff != "" {
		t.Errorf("Differences: -want +got\n%s", diff)
	}
	if text, _ := root.Text("proc/sys/vm/swappiness"); text != "60" {
		t.Errorf("swappiness = %s, want 60", text)
	}
}
