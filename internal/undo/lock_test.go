// SPDX-License-Identifier: Apache-2.0

package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
)

func TestLockHost(t *testing.T) {
	j := openTest(t)
	lock, err := j.dir.LockHost(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.dir.LockHost(t.Context(), 30*time.Millisecond)
	if code(err) != exit.Refused || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("LockHost beside the holder = %v, want code %d naming pid %d", err, exit.Refused, os.Getpid())
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("told to stop"))
	if _, err := j.dir.LockHost(stopped, time.Hour); err == nil || err.Error() != "told to stop" {
		t.Errorf("LockHost while the context ends = %v, want its cause", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := j.dir.LockHost(context.Background(), time.Minute)
		second.Release()
		got <- err
	}()
	lock.Release()
	if err := <-got; err != nil {
		t.Errorf("LockHost that waits until the holder lets go: %v", err)
	}
	if text, err := os.ReadFile(j.dir.LockPath()); err != nil || len(text) != 0 {
		t.Errorf("the lock file of nobody says %q, %v, want nothing", text, err)
	}
	(*HostLock)(nil).Release()
}

// TestLockHint does not name a holder that has ended: a shell that took the lock through flock(1) says nothing.
func TestLockHint(t *testing.T) {
	j := openTest(t)
	_, cmd := sleeper(t)
	end(cmd)
	for _, hint := range []string{"", "what", "-1 x", fmt.Sprintf("%d old-run", cmd.Process.Pid)} {
		if err := os.WriteFile(j.dir.LockPath(), []byte(hint), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := j.dir.lockHolder(); !strings.HasPrefix(got, "another process") {
			t.Errorf("lockHolder of %q = %q, want another process", hint, got)
		}
	}
}

// TestLockKilled frees the lock when its holder is killed.
func TestLockKilled(t *testing.T) {
	j := openTest(t)
	holder := start(t, "lock")
	holder.says(t, "locked")
	if _, err := j.dir.LockHost(t.Context(), 0); code(err) != exit.Refused {
		t.Errorf("LockHost beside another process = %v, want code %d", err, exit.Refused)
	}
	holder.kill()
	lock, err := j.dir.LockHost(t.Context(), 0)
	if err != nil {
		t.Fatalf("LockHost after the holder was killed: %v", err)
	}
	lock.Release()
}

// TestLockInherited shares the lock with a child, as a script does with the tools that it runs.
func TestLockInherited(t *testing.T) {
	j := openTest(t)
	lock, err := j.dir.LockHost(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	fd, err := unix.Dup(int(lock.file.Fd())) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Setenv(LockEnv, strconv.Itoa(fd))
	for range 3 { // each in the same process, and letting go of an inherited lock frees nothing
		shared, err := j.dir.LockHost(t.Context(), 0)
		if err != nil {
			t.Fatalf("LockHost with an inherited lock: %v", err)
		}
		shared.Release()
	}
	child := start(t, "lock")
	child.says(t, "locked")
	child.kill()
	t.Setenv(LockEnv, "")
	if _, err := j.dir.LockHost(t.Context(), 0); code(err) != exit.Refused {
		t.Errorf("LockHost of a stranger while the lock is shared = %v, want code %d", err, exit.Refused)
	}
	// The shell's way, with its own descriptor number.
	t.Setenv(LockEnv, "")
	lock.Release()
	unix.Close(fd)
	script := `exec 9<>"$1"; flock 9; export MEMLINE_LOCK_FD=9; shift; exec "$@"`
	cmd := exec.Command("bash", "-c", script, "bash", j.dir.LockPath(), os.Args[0])
	cmd.Env = append(os.Environ(), "UNDO_TEST_ROLE=lock-once")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "locked\n" {
		t.Errorf("a tool below a shell that holds the lock: %q, %v", out, err)
	}
}

// TestLockStale falls through to taking the lock itself when the descriptor is none, another file, or holds nothing.
func TestLockStale(t *testing.T) {
	j := openTest(t)
	other, err := os.CreateTemp(t.TempDir(), "other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	unlocked, err := os.OpenFile(j.dir.LockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unlocked.Close()
	for name, fd := range map[string]string{
		"not a number": "x", "negative": "-1", "closed": "1000", "another file": strconv.Itoa(int(other.Fd())),
		"the file without its lock": strconv.Itoa(int(unlocked.Fd())),
	} {
		t.Setenv(LockEnv, fd)
		lock, err := j.dir.LockHost(t.Context(), 0)
		if err != nil {
			t.Errorf("%s: LockHost = %v", name, err)
			continue
		}
		if lock.file == nil {
			t.Errorf("%s: LockHost takes it for inherited", name)
		}
		if _, err := j.dir.LockHost(t.Context(), 0); code(err) != exit.Refused {
			t.Errorf("%s: a second LockHost = %v, want code %d", name, err, exit.Refused)
		}
		lock.Release()
	}
}

// TestLockRemoved does not let two hold the lock when somebody removes its file: who waited for it starts again.
func TestLockRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := lockFile(path, unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan *os.File, 1)
	go func() {
		f, _ := lockFile(path, unix.LOCK_EX)
		waiting <- f
	}()
	info, err := first.Stat()
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // "1: -> FLOCK  ADVISORY  WRITE 77 fe:00:1049 0 EOF"
		locks, err := os.ReadFile("/proc/locks")
		if err != nil || time.Now().After(end) {
			t.Fatalf("nobody waits for the lock: %s, %v", locks, err)
		}
		if waits := regexp.MustCompile("-> FLOCK.*" + inode).Match(locks); waits {
			break
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	third, err := lockFile(path, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	select {
	case <-waiting:
		t.Fatal("two hold the lock")
	case <-time.After(50 * time.Millisecond):
	}
	third.Close()
	second := <-waiting
	if second == nil || !isFile(int(second.Fd()), path) {
		t.Error("the lock is on a file that is not the one of that path")
	}
	second.Close()
}
