// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
